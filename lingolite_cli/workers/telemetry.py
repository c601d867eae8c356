"""What engines would report to their vendors, and that they do not.

ONNX Runtime's Linux wheel looks up its vendor's telemetry host some seconds after it is imported, and keeps events (a
device id, the processor, paths and names of models) in the user's cache. Only a variable of the environment that is set
before the import stops it: `onnxruntime.disable_telemetry_events()` comes too late. Ray reports where it was started.
"""

from __future__ import annotations

import os

_SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def switch_off() -> None:
    """Switch telemetry off, in this process and those that it starts, where the user has not decided otherwise.

    Called when `lingolite_cli` is imported, before any engine can be: plugins import it first as well.
    """
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
