"""The formats that a device bundle carries, each with how its graphs are called and what an app adds to its build.

Owns the table, and the versions of packages for Android and iOS.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_device.coreml_files import coreml_graphs
from lingolite_device.description import Graphs
from lingolite_device.litert_files import litert_graphs
from lingolite_device.onnx_files import onnx_graphs, onnx_settings


def _none(artifact: Artifact) -> dict[str, str]:
    return {}


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A format.

    Attributes:
        title: of its engine.
        graphs: how the graphs of an artifact are called; refuses what an app cannot run.
        settings: of ONNX Runtime's sessions on x86; see `DeviceDescription`.
        python: what `run_offline.py` needs besides numpy; empty where the engine has no Python on any computer.
        gradle: the dependency of an Android app; empty where Android has no such engine.
        snippets: name of the template on how the engine is put behind `GraphRuntime`.
    """

    title: str
    graphs: Callable[[Artifact], Graphs]
    settings: Callable[[Artifact], dict[str, str]] = _none
    python: str
    gradle: str
    snippets: str

    def requirements(self) -> str:
        """What `run_offline.py` needs, in the versions that computed the goldens."""
        return "".join(f"{name}=={version(name)}\n" for name in ("numpy", self.python))


ENGINES: dict[str, Engine] = {
    "coreml": Engine(
        title="Core ML",
        graphs=coreml_graphs,
        python="",
        gradle="",
        snippets="coreml.md.jinja",
    ),
    "litert": Engine(
        title="LiteRT",
        graphs=litert_graphs,
        python="ai-edge-litert",
        gradle="com.google.ai.edge.litert:litert:1.4.2",
        snippets="litert.md.jinja",
    ),
    "onnx": Engine(
        title="ONNX Runtime",
        graphs=onnx_graphs,
        settings=onnx_settings,
        python="onnxruntime",
        gradle="com.microsoft.onnxruntime:onnxruntime-android:1.27.0",
        snippets="onnx.md.jinja",
    ),
}
"""By format; `lingolite_device.options.CARRIED` has the same names."""
