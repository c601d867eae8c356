"""One round of a system, for verdicts on time and memory: a fresh process, from its start to the last sentence.

Each round is a fresh process because what differs between processes (memory layout, the cores it runs on) is noise that
rounds within one process never show (Kalibera and Jones 2013, "Rigorous Benchmarking in Reasonable Time").
"""

from __future__ import annotations

import msgspec

from lingolite_cli.benchmark.figures import Round, RoundClock
from lingolite_cli.benchmark.process import System, WorkerProcess, start_worker
from lingolite_cli.benchmark.protocol import BackendLoaded, Timed, Translate
from lingolite_cli.decoding.options import DecodingOptions

_WARM_UP = 4
"""Sentences that are translated before timing starts."""


class RoundWorkload(msgspec.Struct, frozen=True, kw_only=True):
    """What a system does in a round.

    Attributes:
        sources: the sentences.
        languages: source and target language.
        decoding: how they are translated.
        batch_size: sentences in a batch, where tokens a second are counted. Latencies are those of one at a time.
    """

    sources: list[str]
    languages: tuple[str, str]
    decoding: DecodingOptions
    batch_size: int


class SystemWorkload(msgspec.Struct, frozen=True):
    """A system, and what it does in a round."""

    system: System
    workload: RoundWorkload


def take_round(system: System, workload: RoundWorkload) -> Round:
    """Start the system, load it, translate, and stop it.

    Raises:
        LingoLiteError: one of these failed.
    """
    with start_worker(system) as worker:
        loaded = worker.ask(system.load)
        assert isinstance(loaded, BackendLoaded)
        _translate(worker, workload, workload.sources[:1])
        cold_start_seconds = worker.age_seconds
        _translate(worker, workload, workload.sources[:_WARM_UP])
        first_tokens = _translate(worker, workload, workload.sources, most_tokens=1)
        alone = last = _translate(worker, workload, workload.sources)
        if workload.batch_size > 1:
            last = _translate(worker, workload, workload.sources, batch_size=workload.batch_size)
    clock = RoundClock(
        load_seconds=loaded.seconds,
        cold_start_seconds=cold_start_seconds,
        first_token_latencies_ms=first_tokens.latencies_ms,
        latencies_ms=alone.latencies_ms,
        num_tokens=last.num_tokens,
        seconds=last.seconds,
        peak_memory_mb=last.peak_memory_mb,
    )
    return clock.figures()


def _translate(
    worker: WorkerProcess,
    workload: RoundWorkload,
    sources: list[str],
    *,
    batch_size: int = 1,
    most_tokens: int | None = None,
) -> Timed:
    decoding = workload.decoding
    if most_tokens is not None:
        decoding = msgspec.structs.replace(decoding, min_length=0, max_length=most_tokens)
    timed = worker.ask(
        Translate(sources=sources, languages=workload.languages, decoding=decoding, batch_size=batch_size)
    )
    assert isinstance(timed, Timed)
    return timed
