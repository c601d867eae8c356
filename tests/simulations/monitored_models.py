"""What `lingolite monitor` sees of a model that breaks in the middle of a day, and of one that does not.

    python tests/simulations/monitored_models.py --sentences 400

The starter, int8 in ONNX, translates sentences of its test set behind a server's queue; so do copies with a planted
fault. Logs of a day are drawn from what was served, 10,000 requests each: from noon on, a share of the requests is
answered by the damaged copy. Prints a table in Markdown: how many of ten logs show an onset, in which figures, and how
far from noon it was dated.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.serving import ServingRequest, open_service
from lingolite_cli.monitoring.measure import MeasuredLog
from lingolite_cli.serving.batcher import BatchPolicy
from lingolite_cli.serving.sample import SampledRequest, SampledSentence
from lingolite_cli.serving.service import ServingLimits
from lingolite_cli.testing.routes import convert_with, converter
from tests.lingolite_cli.evaluation import planted_faults

STARTER = Path(__file__).resolve().parents[2] / "recipes" / "starter-en-da"
PAIR = ("en", "da")
BEGIN = datetime(2026, 11, 30, tzinfo=timezone.utc)
NOON = "2026-11-30T12:00Z"
DAMAGES: dict[str, Callable[[Path], None]] = {
    "scale of a layer doubled": planted_faults.double_scale,
    "query one position off": planted_faults.turn_queries,
    "token table shifted": planted_faults.shift_rows,
    "truncated at 32 tokens": planted_faults.limit_positions,
}


def serve_sentences(artifact: Artifact, sources: Sequence[str]) -> list[SampledSentence]:
    """What a server records of these sources."""
    request = ServingRequest(
        backend="onnx",
        languages=[PAIR],
        policy=BatchPolicy(batch_size=32, max_waiting=len(sources)),
        limits=ServingLimits(max_seconds=3600.0),
        server="none",
    )

    async def served() -> list[SampledSentence]:
        texts = await asyncio.gather(*(service.translate([source], PAIR) for source in sources))
        return [sentence for found in texts for text in found for sentence in text.sentences]

    decoding = DecodingOptions()
    with open_service(
        JobContext(is_quiet=True), artifact, request, decoding=decoding, console=Console(quiet=True)
    ) as service:
        return asyncio.run(served())


def drawn_day(
    healthy: Sequence[SampledSentence], damaged: Sequence[SampledSentence], *, share: float, seed: int, requests: int
) -> Iterator[SampledRequest]:
    """A day of requests for single sentences."""
    chance = random.Random(seed)
    for number in range(requests):
        is_broken = 2 * number >= requests and chance.random() < share
        yield SampledRequest(
            time=(BEGIN + timedelta(days=number / requests)).isoformat(timespec="milliseconds"),
            model="simulated",
            outcome="done",
            languages=PAIR,
            latency_ms=chance.lognormvariate(4.0, 0.5),
            sentences=(chance.choice(damaged if is_broken else healthy),),
        )


def row(name: str, share: float, logs: Sequence[MeasuredLog]) -> str:
    """A line of the table."""
    figures = Counter(onset.figure for log in logs for onset in log.figures.onsets)
    hours = Counter(onset.hour[11:16] for log in logs for onset in log.figures.onsets)
    seen = sum(bool(log.figures.onsets) for log in logs)
    at_noon = sum(any(onset.hour == NOON for onset in log.figures.onsets) for log in logs)
    named = ", ".join(f"{figure} {count}" for figure, count in figures.most_common()) or "–"
    dated = ", ".join(f"{hour} {count}" for hour, count in sorted(hours.items())) or "–"
    return f"| {name} | {share:.0%} | {seen} of {len(logs)} | {at_noon} | {named} | {dated} |"


def main() -> None:
    """Translate, draw, and write a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    lines = (STARTER / "test.en-da.tsv").read_text(encoding="utf-8").splitlines()
    sources = [line.split("\t")[0] for line in lines[: options.sentences]]
    with tempfile.TemporaryDirectory() as work:
        bundle = convert_with(converter("dynamic-int8"), Artifact.open(STARTER / "model"), Path(work) / "int8")
        shipped = convert_with(converter("onnx"), bundle, Path(work) / "onnx")
        healthy = serve_sentences(shipped, sources)
        print("| damage | share | logs with an onset | dated noon | figures | hours |\n" + "| --- " * 6 + "|")
        served = {"none": healthy}
        for name, damage in DAMAGES.items():
            damaged_copy = planted_faults.plant(shipped, Path(work) / name.replace(" ", "-"), damage)
            served[name] = serve_sentences(damaged_copy, sources)
        for name, damaged in served.items():
            for share in (0.0,) if name == "none" else (0.05, 0.2, 1.0):
                days = (
                    drawn_day(healthy, damaged, share=share, seed=seed, requests=options.requests)
                    for seed in range(options.seeds)
                )
                print(row(name, share, [MeasuredLog(day) for day in days]), flush=True)


if __name__ == "__main__":
    main()
