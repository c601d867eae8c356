"""What is measured while training: lines in `metrics.jsonl`, and event files where TensorBoard is installed.

A resumed training continues both where its checkpoint stands.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.files.atomic import write_atomic

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS_NAME = "metrics.jsonl"
EVENTS_NAME = "events"


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of a step, or the score of the dev text after it; or both, or neither."""

    step: int
    loss: float | None = None
    dev_score: float | None = None


def training_curve(path: Path, *, max_points: int = 200) -> list[CurvePoint]:
    """The curve in the file `path` of measurements: every score, and at most `max_points` losses, evenly spread."""
    points = [msgspec.json.decode(line, type=CurvePoint) for line in path.read_bytes().splitlines()]
    stride = -(-sum(point.loss is not None for point in points) // max_points) or 1
    losses = [point for point in points if point.loss is not None][::stride]
    return sorted([*losses, *(point for point in points if point.dev_score is not None)], key=lambda point: point.step)


class Measurements:
    """Figures by step.

    Args:
        directory: gets the file and the directory of events with the first figures.
    """

    def __init__(self, directory: Path) -> None:
        self._lines = directory / METRICS_NAME
        self._events = directory / EVENTS_NAME
        self._writer: SummaryWriter | None = None

    def add(self, *, step: int, **values: float) -> None:
        """Write the figures of a step."""
        with self._lines.open("ab") as stream:
            stream.write(msgspec.json.encode({"step": step, **values}) + b"\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"training/{name}", value, step)
            self._writer.flush()

    def start_after(self, step: int) -> None:
        """Begin, without what was measured after `step`: that was done after the checkpoint, and will be done again."""
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._events), purge_step=step + 1)
        if not self._lines.is_file():
            return
        lines = self._lines.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        kept = [line for line in whole if msgspec.json.decode(line)["step"] <= step]
        write_atomic(self._lines, b"".join(kept))

    def close(self) -> None:
        """Finish the event file."""
        if self._writer is not None:
            self._writer.close()
