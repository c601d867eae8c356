"""How time grows: with the length of the target, with the length of the source, and with the batch.

    python tests/benchmarks/growth.py --model small --out growth.svg

Engines take turns on the same ids, forced to the same lengths. Prints a table for each panel of the picture.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from artifacts import CTRANSLATE2, ORT, Exported, export_int8
from models import MODELS

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.runs.measured_results import effort
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.views.charts import FORMATS, check_plot_target, start_at_zero
from lingolite_cli.views.drawing import figure_file

_ENGINES = (ORT, CTRANSLATE2)
_FIRST_WORD = 16
"""Ids from here on are words in all tokenizers here."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """So many sentences in a batch, and tokens of each source and target."""

    batch_size: int = 1
    source: int = 24
    target: int = 32


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """What grows.

    Attributes:
        title: what stays as it is.
        axis: what grows.
        unit: what milliseconds are given for.
        points: from small to large.
        place: of a point on the axis.
        num_units: of `unit` in a point.
    """

    title: str
    axis: str
    unit: str
    points: tuple[Work, ...]
    place: Callable[[Work], int]
    num_units: Callable[[Work], int]


PANELS = (
    Panel(
        title="batch 1, 24 source tokens",
        axis="target tokens",
        unit="sentence",
        points=tuple(Work(target=length) for length in (16, 32, 64, 100, 150, 200, 250, 300, 350, 400)),
        place=lambda work: work.target,
        num_units=lambda work: 1,
    ),
    Panel(
        title="batch 1, 16 target tokens",
        axis="source tokens",
        unit="sentence",
        points=tuple(Work(source=length, target=16) for length in (8, 16, 32, 64, 100, 150, 200, 250, 300, 350, 400)),
        place=lambda work: work.source,
        num_units=lambda work: 1,
    ),
    Panel(
        title="24 source tokens, 32 target tokens",
        axis="sentences in a batch",
        unit="target token",
        points=tuple(Work(batch_size=size) for size in (1, 2, 4, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)),
        place=lambda work: work.batch_size,
        num_units=lambda work: work.batch_size * work.target,
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    asked = _parser().parse_args(arguments)
    if asked.out:
        check_plot_target(asked.out, formats=FORMATS, example="plot.svg")
    with tempfile.TemporaryDirectory(prefix="lingolite-growth-") as scratch:
        work = Path(asked.work or scratch).resolve()
        engines = export_int8(asked.model, work, engines=asked.engine or _ENGINES)
        panels = [_up_to(panel, asked.most) for panel in PANELS]
        measured = [measure(panel.points, engines, rounds=asked.rounds, threads=asked.threads) for panel in panels]
    for panel, times in zip(panels, measured, strict=True):
        sys.stdout.write("\n".join([f"{asked.model}: {panel.title}", "", *table(panel, times), "", ""]))
    if asked.out:
        draw(panels, measured, asked.out, title=f"{asked.model}, {effort(asked.threads)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="small")
    parser.add_argument("--engine", action="append", choices=_ENGINES, help="repeatable; default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--most", type=int, default=400, help="leave out what is longer or larger")
    parser.add_argument("--work", type=Path, help="keep bundles and exports here, to use them again")
    parser.add_argument("--out", type=Path, help="draw it to this .svg, .png or .pdf file")
    return parser


def _up_to(panel: Panel, most: int) -> Panel:
    return msgspec.structs.replace(panel, points=tuple(each for each in panel.points if panel.place(each) <= most))


def measure(
    points: Sequence[Work], engines: Sequence[Exported], *, rounds: int, threads: int
) -> Mapping[str, list[float]]:
    """By engine, the median of the seconds that each point takes; engines take turns, after one round of warm-up."""
    seconds: dict[str, list[list[float]]] = {engine.engine: [[] for _ in points] for engine in engines}
    with ExitStack() as stack:
        opened = [(engine, stack.enter_context(engine.open(threads=threads))) for engine in engines]
        for turn in range(rounds + 1):
            for number, work in enumerate(points):
                for engine, backend in opened if turn % 2 else reversed(opened):
                    taken = _seconds(engine, backend, work)
                    if turn:
                        seconds[engine.engine][number].append(taken)
    return {name: [median(own) for own in by_point] for name, by_point in seconds.items()}


def _seconds(engine: Exported, backend: Any, work: Work) -> float:
    random = np.random.default_rng(work.source)
    shape = (work.batch_size, work.source)
    ids = random.integers(_FIRST_WORD, engine.artifact.manifest.model.vocab_size // 4, shape)
    options = DecodingOptions(min_length=work.target, max_length=work.target)
    started = time.perf_counter()
    search(backend, ids, np.ones(shape, np.bool_), ids=IDS, options=options, capabilities=engine.capabilities)
    return time.perf_counter() - started


def table(panel: Panel, times: Mapping[str, Sequence[float]]) -> list[str]:
    """In Markdown: milliseconds for each unit, and how many times as fast the first engine is as each other one."""
    first, *others = times
    headings = [
        panel.axis,
        *(f"{name}, ms a {panel.unit}" for name in times),
        *(f"{first} over {name}" for name in others),
    ]
    rows = [headings, ["--:"] * len(headings)]
    for number, work in enumerate(panel.points):
        cells = [f"{1e3 * own[number] / panel.num_units(work):.3g}" for own in times.values()]
        ratios = [f"{times[name][number] / times[first][number]:.2f}×" for name in others]
        rows.append([str(panel.place(work)), *cells, *ratios])
    return [f"| {' | '.join(row)} |" for row in rows]


def draw(panels: Sequence[Panel], measured: Sequence[Mapping[str, Sequence[float]]], path: Path, *, title: str) -> None:
    """A panel each, a line for each engine."""
    with figure_file(path, width=4.5 * len(panels), height=3.5) as canvas:
        canvas.suptitle(title)
        for axes, panel, times in zip(canvas.subplots(1, len(panels)), panels, measured, strict=True):
            for name, own in times.items():
                values = [
                    1e3 * seconds / panel.num_units(work) for work, seconds in zip(panel.points, own, strict=True)
                ]
                axes.plot([panel.place(work) for work in panel.points], values, "o-", markersize=4, label=name)
            axes.grid(visible=True, axis="both")
            axes.set_title(panel.title, fontsize="medium")
            axes.set_xlabel(panel.axis)
            axes.set_ylabel(f"ms a {panel.unit}")
            if panel.unit == "target token":
                axes.set_xscale("log", base=2)
                places = [panel.place(work) for work in panel.points if panel.place(work).bit_count() == 1]
                axes.set_xticks(places, [str(place) for place in places], minor=False)
                axes.minorticks_off()
            start_at_zero(axes)
        axes.legend()


if __name__ == "__main__":
    main()
