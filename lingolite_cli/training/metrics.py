"""`metrics.jsonl`: a line a measurement, which a resumed training continues where its checkpoint stands."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.artifact import write_atomic

METRICS_NAME = "metrics.jsonl"


class MetricsFile:
    """A file of JSON lines, each with its `step`.

    Args:
        path: made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, **values: float) -> None:
        """Append a line."""
        with self._path.open("ab") as stream:
            stream.write(msgspec.json.encode(values) + b"\n")

    def cut_after(self, step: int) -> None:
        """Remove lines of later steps: they were done after the checkpoint, and will be done again."""
        if not self._path.is_file():
            return
        lines = self._path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        kept = [line for line in whole if msgspec.json.decode(line)["step"] <= step]
        write_atomic(self._path, b"".join(kept))
