"""Memory of one backend over thousands of sentences: does it stay flat?

    python tests/benchmarks/memory.py --model exported --sentences 10000 --out memory.svg

Translates the sentences beside the starter, in another order at each pass so that no two batches are alike, through
one backend in this process, and samples the resident memory of the process.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from models import LANGUAGES, STARTER

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.plugins.registry import Loaded, load_registry
from lingolite_cli.runs.measured_results import effort
from lingolite_cli.schema import parse_value
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.views.charts import FORMATS, check_plot_target, start_at_zero
from lingolite_cli.views.drawing import figure_file

TEXTS = ("dev.en-da.tsv", "test.en-da.tsv", "other.en-da.tsv")
WARM_UP_SHARE = 0.2
"""Of the sentences, after which growth counts: by then batches of every shape have been seen."""


class Sample(msgspec.Struct, frozen=True):
    """Resident memory of this process, in MB, after so many sentences."""

    num_sentences: int
    resident_mb: float


class Growth(msgspec.Struct, frozen=True):
    """What the samples say, in MB: before the first sentence, at the end of the warm-up, at the end, and at most."""

    at_first: float
    warm: float
    at_last: float
    peak: float

    @property
    def after_warm_up(self) -> float:
        """How much more there is at the end than at the end of the warm-up."""
        return self.at_last - self.warm


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, draw and print."""
    asked = _parser().parse_args(arguments)
    if asked.out:
        check_plot_target(asked.out, formats=FORMATS, example="plot.svg")
    artifact = Artifact.open(asked.model)
    registry = load_registry()
    backend = asked.backend or _fitting(registry, artifact.manifest.format)
    options = dict(_pair(text) for text in asked.option)
    decoding = DecodingOptions(beam_size=asked.beam_size)
    samples = list(
        measure(
            registry.resolve("backend", backend),
            artifact,
            sentences(asked.sentences),
            options=options,
            threads=asked.threads,
            decoding=decoding,
            batch_size=asked.batch_size,
            every=max(asked.sentences // 100, 1),
        )
    )
    found = growth(samples)
    sys.stdout.write(
        f"{backend}, {artifact.path.name}: {samples[-1].num_sentences:,} sentences in batches of {asked.batch_size}, "
        f"beam {asked.beam_size}, {effort(asked.threads)}\n"
        f"resident: {found.at_first:.1f} MB loaded, {found.warm:.1f} MB warm, {found.at_last:.1f} MB at the end, "
        f"peak {found.peak:.1f} MB\n"
        f"growth after warm-up: {found.after_warm_up:+.1f} MB\n"
    )
    if asked.out:
        draw(samples, asked.out, title=f"{backend}, batches of {asked.batch_size}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="the artifact")
    parser.add_argument("--backend", help="default: the first that runs the artifact")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the backend; repeatable")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--beam-size", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="draw it to this .svg, .png or .pdf file")
    return parser


def _pair(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    return key, parse_value(value)


def _fitting(registry: Any, format: str) -> str:
    for entry in registry.of_kind("backend"):
        if entry.spec is not None and format in entry.spec.accepts:
            return str(entry.name)
    raise SystemExit(f"no backend runs format {format}")


def sentences(count: int) -> Iterator[str]:
    """`count` sentences: all there are beside the starter, again and again, each pass in an order of its own."""
    lines = [line for name in TEXTS for line in (STARTER / name).read_text(encoding="utf-8").splitlines()]
    texts = [line.split("\t")[0] for line in lines]
    drawn = random.Random(17)
    for given in range(count):
        if given % len(texts) == 0:
            drawn.shuffle(texts)
        yield texts[given % len(texts)]


def measure(
    loaded: Loaded,
    artifact: Artifact,
    texts: Iterator[str],
    *,
    options: dict[str, Any],
    threads: int,
    decoding: DecodingOptions,
    batch_size: int,
    every: int,
) -> Iterator[Sample]:
    """A sample before the first sentence and after every `every` sentences."""
    with closing(loaded.create(artifact, options=options, threads=threads)) as backend:
        translator = Translator(
            backend,
            open_tokenizer(artifact),
            artifact.manifest.model,
            LANGUAGES,
            options=decoding,
            batch_size=batch_size,
            capabilities=loaded.spec.capabilities,
        )
        yield Sample(0, resident_mb())
        for number, _ in enumerate(translator.translate(texts), start=1):
            if number % every == 0:
                yield Sample(number, resident_mb())


def resident_mb() -> float:
    """Resident memory of this process in MB; garbage of the interpreter is collected first."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(samples: Sequence[Sample]) -> Growth:
    """What `samples` say."""
    warm_after = WARM_UP_SHARE * samples[-1].num_sentences
    warm = next(sample for sample in samples if sample.num_sentences >= warm_after)
    return Growth(
        samples[0].resident_mb, warm.resident_mb, samples[-1].resident_mb, max(each.resident_mb for each in samples)
    )


def draw(samples: Sequence[Sample], path: Path, *, title: str) -> None:
    """Memory over sentences."""
    with figure_file(path, width=6.0, height=3.0) as canvas:
        axes = canvas.subplots()
        axes.plot([each.num_sentences for each in samples], [each.resident_mb for each in samples])
        start_at_zero(axes)
        axes.set_xlabel("sentences translated")
        axes.set_ylabel("resident memory, MB")
        axes.set_title(title, loc="left", fontsize="medium")


if __name__ == "__main__":
    main()
