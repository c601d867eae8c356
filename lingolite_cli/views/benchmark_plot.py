"""A benchmark as a picture: tokens a second by batch size, and time by target length.

Owns what `lingolite bench --plot` draws, and how a figure becomes a file; figures of reports are the business of
reporters.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.views.charts import DAYLIGHT, scale_by_tens, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lingolite_cli.runs.results import BenchmarkResult


def plot_benchmark(result: BenchmarkResult, path: Path) -> None:
    """Draw a benchmark to `path`, whole or not at all."""
    batch_sizes = sorted({bucket.batch_size for bucket in result.buckets})
    num_panels = 1 + len(batch_sizes)
    with figure(path, width=6.0 * num_panels, height=1.5 + 0.5 * len(result.systems) + 2.0) as canvas:
        panels = canvas.subplots(1, num_panels, squeeze=False)[0]
        _draw_speed(panels[0], result)
        for panel, batch_size in zip(panels[1:], batch_sizes, strict=True):
            _draw_lengths(panel, result, batch_size)


@contextmanager
def figure(path: Path, *, width: float, height: float) -> Iterator[Figure]:
    """A figure of `width` times `height` inches to draw on; it is written to `path` when the block ends without an
    error, whole or not at all."""
    from matplotlib.figure import Figure

    with style(DAYLIGHT):
        canvas = Figure(figsize=(width, height), layout="constrained")
        yield canvas
        drawn = BytesIO()
        canvas.savefig(drawn, format=path.suffix[1:], metadata={"Date": None} if path.suffix == ".svg" else {})
    write_atomic(path, drawn.getvalue())


def _draw_speed(axes: Any, result: BenchmarkResult) -> None:
    """A bar for each system and batch size, on a logarithmic axis; its line spans the spread over the rounds."""
    batch_sizes = [row.batch_size for row in result.systems[0].rows]
    height = 0.8 / len(batch_sizes)
    for number, batch_size in enumerate(batch_sizes):
        rows = [system.rows[number] for system in result.systems]
        speeds = [row.tokens_per_second for row in rows]
        places = [place + (number - (len(batch_sizes) - 1) / 2) * height for place in range(len(rows))]
        errors = [row.spread / 2 * row.tokens_per_second for row in rows]
        axes.barh(places, speeds, height=0.9 * height, xerr=errors, label=f"batch {batch_size}")
    axes.set_yticks(range(len(result.systems)), [system.name for system in result.systems])
    axes.invert_yaxis()
    scale_by_tens(axes, "x")
    axes.set_xlabel(", ".join(filter(None, ["tokens per second", result.common_effort])))
    axes.legend()


def _draw_lengths(axes: Any, result: BenchmarkResult, batch_size: int) -> None:
    """A line for each system."""
    axes.grid(visible=True, axis="both")
    for system in result.systems:
        own = [bucket for bucket in result.buckets if bucket.system == system.name and bucket.batch_size == batch_size]
        own.sort(key=lambda bucket: bucket.num_tokens)
        axes.plot([b.num_tokens for b in own], [b.milliseconds for b in own], "o-", markersize=4, label=system.name)
    axes.set_xlabel("target tokens")
    axes.set_ylabel(f"ms a sentence, batch {batch_size}")
    scale_by_tens(axes, "y")
    axes.legend()
