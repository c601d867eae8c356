"""An entry of the history: how a run ended, and the figures of each system that it measured.

Owns these structs and how they follow from a run's manifest. An entry has no sentences, and no
path but that of its run.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from lingolite_cli.benchmark.figures import BenchmarkRow
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.runs.measured_results import BenchmarkResult, BenchmarkSystem, EvaluateResult, VerifyResult
from lingolite_cli.runs.record import RunManifest, RunStatus, StepRecord
from lingolite_cli.runs.step_result import ArtifactSummary

# `\Z` and not `$`, which a newline may follow.
RunId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", max_length=200)]
RecipeName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]*\Z", max_length=200)]

_YEARS = range(1970, 9000)
"""Of which times can be reckoned with in every zone."""
_MOST = 2**63
"""What SQLite's integers end at."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, not a finite number")
            if isinstance(value, int) and abs(value) >= _MOST:
                raise ValueError(f"{name} is a number of {value.bit_length()} bits")


class ScoreFigures(_Struct, frozen=True, kw_only=True):
    """A score on a text. `low` and `high` are the reference's score plus the interval of the difference from it."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    signature: str


class SystemFigures(_Struct, frozen=True, kw_only=True):
    """The figures of one artifact, through one backend if it was run.

    `name` is that of the step, or of the system in a benchmark. Scores are of `num_sentences` sentences of the text
    with the digest `corpus`; speeds are those of batches of one sentence, and `latency_p50_low_ms` and
    `latency_p50_high_ms` span the rounds. None is what the run did not measure.
    """

    name: str
    backend: str | None = None
    format: str
    scheme: str | None = None
    digest: str
    size_bytes: int
    corpus: str | None = None
    num_sentences: int | None = None
    latency_p50_ms: float | None = None
    latency_p50_low_ms: float | None = None
    latency_p50_high_ms: float | None = None
    latency_p95_ms: float | None = None
    tokens_per_second: float | None = None
    load_seconds: float | None = None
    peak_memory_mb: float | None = None
    scores: tuple[ScoreFigures, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_twice("score", [score.metric for score in self.scores])


class RunEntry(_Struct, frozen=True, kw_only=True):
    """A run that ended. `started` is UTC, ISO 8601.

    Attributes:
        problem: why it failed, or which budgets it broke.
        directory: of the run, relative to the project where it lies inside; None where a run left none.
        shipped: name of the system that the run was about: the candidate of its last verdict, or what it scored,
            measured or made last.
        reference: name of the system that it was judged against.
    """

    id: RunId
    recipe: RecipeName
    status: RunStatus
    started: str
    seconds: float
    num_budgets: int = 0
    problem: str | None = None
    directory: str | None = None
    lingolite: str
    cpu: str
    threads: int
    shipped: str | None = None
    reference: str | None = None
    systems: tuple[SystemFigures, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        started = datetime.fromisoformat(self.started)
        if started.tzinfo is None:
            raise ValueError(f"the time {self.started} has no zone")
        if started.year not in _YEARS:
            raise ValueError(f"the time {self.started} is not from {_YEARS.start} to {_YEARS.stop - 1}")
        _refuse_twice("system", [system.name for system in self.systems])

    @property
    def broken_budgets(self) -> list[str]:
        """Names of the budgets that it broke. Runs of all versions tell them in `problem`."""
        return _BROKEN.findall(self.problem) if self.problem and self.status == "broken budget" else []

    @property
    def verdict(self) -> str:
        """How the run ended, in a word; `done` where it had no budgets."""
        return "pass" if self.status == "done" and self.num_budgets else self.status

    def system(self, name: str | None) -> SystemFigures | None:
        """The system of that name."""
        return next((system for system in self.systems if system.name == name), None)


def _broken(step: str, verdict: Verdict) -> str:
    """How `RunEntry.problem` tells of a broken budget; `_BROKEN` finds it there."""
    return f"{step}.{verdict.budget}: {verdict.why}"


_BROKEN = re.compile(r"(?:^|; )[^\s.]+\.([^\s.]+): ")


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the {what} `{twice[:100]}` is there twice")


def entry_of_manifest(manifest: RunManifest, directory: str | None) -> RunEntry:
    """The entry of a run, whether it came to its end or stopped before. `directory` is where it left its files."""
    verdicts = manifest.verdicts
    problems = [manifest.stop.said] if manifest.stop is not None else []
    problems += [_broken(step, verdict) for step, verdict in verdicts if verdict.breaks_run]
    systems = _systems(manifest.steps)
    verified = [step.result for step in manifest.steps if isinstance(step.result, VerifyResult)]
    last = next(reversed(systems), None)
    return RunEntry(
        id=manifest.id,
        recipe=manifest.name,
        status=manifest.status,
        started=manifest.started,
        seconds=manifest.seconds,
        num_budgets=len(verdicts),
        # Names of files may be no text; what is kept is.
        problem="; ".join(problems).encode("utf-8", "backslashreplace").decode("utf-8") or None,
        directory=directory,
        lingolite=manifest.environment.lingolite,
        cpu=manifest.environment.cpu,
        threads=manifest.environment.threads,
        shipped=verified[-1].candidate if verified else last,
        reference=verified[-1].reference if verified else None,
        systems=tuple(systems.values()),
    )


def _systems(steps: list[StepRecord]) -> dict[str, SystemFigures]:
    """Every system by name: the scored ones; otherwise the measured ones; otherwise the artifacts that were made."""
    measured = [system for step in steps if isinstance(step.result, BenchmarkResult) for system in step.result.systems]
    scored = {step.id: step.result for step in steps if isinstance(step.result, EvaluateResult)}
    if scored:
        intervals = _intervals(steps)
        return {name: _scored(name, result, measured, intervals.get(name, {})) for name, result in scored.items()}
    if measured:
        return {system.name: _with_speed(_summary(system.name, system.artifact), system) for system in measured}
    return {step.id: _summary(step.id, made) for step in steps if (made := step.result.made) is not None}


def _summary(name: str, artifact: ArtifactSummary) -> SystemFigures:
    return SystemFigures(
        name=name,
        format=artifact.format,
        scheme=artifact.scheme,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
    )


def _scored(
    name: str,
    result: EvaluateResult,
    measured: list[BenchmarkSystem],
    intervals: dict[str, tuple[float, float]],
) -> SystemFigures:
    scores = []
    for metric, score in result.metrics.items():
        low, high = intervals.get(metric, (None, None))
        scores.append(ScoreFigures(metric=metric, value=score.value, low=low, high=high, signature=score.signature))
    system = msgspec.structs.replace(
        _summary(name, result.artifact),
        backend=result.backend,
        corpus=result.corpus.digest,
        num_sentences=result.num_samples,
        scores=tuple(scores),
    )
    same = (result.artifact.digest, result.backend)
    timed = next((found for found in measured if (found.artifact.digest, found.backend) == same), None)
    return system if timed is None else _with_speed(system, timed)


def _with_speed(system: SystemFigures, measured: BenchmarkSystem) -> SystemFigures:
    single: BenchmarkRow | None = next((row for row in measured.rows if row.batch_size == 1), None)
    return msgspec.structs.replace(
        system,
        backend=measured.backend,
        latency_p50_ms=single.latency_p50_ms if single else None,
        latency_p50_low_ms=single.latency_p50_low_ms if single else None,
        latency_p50_high_ms=single.latency_p50_high_ms if single else None,
        latency_p95_ms=single.latency_p95_ms if single else None,
        tokens_per_second=single.tokens_per_second if single else None,
        load_seconds=measured.load_seconds,
        peak_memory_mb=measured.peak_memory_mb,
    )


def _intervals(steps: list[StepRecord]) -> dict[str, dict[str, tuple[float, float]]]:
    """By candidate and metric: the reference's score plus the interval of the difference from it."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for step in steps:
        for difference in step.result.differences if isinstance(step.result, VerifyResult) else ():
            if difference.low is not None and difference.high is not None:
                interval = (difference.reference + difference.low, difference.reference + difference.high)
                assert isinstance(step.result, VerifyResult)
                found.setdefault(step.result.candidate, {})[difference.metric] = interval
    return found
