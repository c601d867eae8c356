"""The formats that a run exported, side by side: what each takes, how well and how fast it translates, and where that
was verified.

Owns the joining of results by artifact. A format is one exported artifact; what was packed once more, such as a device
bundle, counts for what is in it as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow
from lingolite_cli.emulation.replaying import PlatformReplay
from lingolite_cli.runs.made_results import ExportResult
from lingolite_cli.runs.measured_results import BenchmarkSystem, EvaluateResult, ReplayResult, VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table
from lingolite_reports.results import benchmarks, evaluations, verifications


class _Format(msgspec.Struct, frozen=True, kw_only=True):
    """An exported artifact and what was found out about it; None where that was not asked."""

    step: str
    result: ExportResult
    evaluation: EvaluateResult | None
    verification: VerifyResult | None
    system: BenchmarkSystem | None
    replays: list[PlatformReplay]

    @property
    def form(self) -> str:
        """Format and quantization scheme."""
        artifact = self.result.artifact
        return f"{artifact.format}, {artifact.scheme}" if artifact.scheme else artifact.format

    @property
    def alone(self) -> BenchmarkRow | None:
        """Its speed on one sentence at a time."""
        rows = self.system.rows if self.system is not None else []
        return next((row for row in rows if row.batch_size == 1), None)

    @property
    def places(self) -> str:
        """Where it was verified."""
        run = [one for one in self.replays if one.why_not is None]
        platforms: dict[str, dict[str, None]] = {}  # each once: a device bundle and a page may have run on the same
        for one in run:
            platforms.setdefault(f"{one.num_equal} of {one.num_goldens} goldens", {})[one.platform] = None
        found = [f"{count} on {', '.join(names)}" for count, names in platforms.items()]
        if self.verification is not None:
            found.insert(0, "against its bundle" if self._is_compared else "against the model")
        return "; ".join(found) or formats.NOTHING

    @property
    def _is_compared(self) -> bool:
        exported = self.verification.exported if self.verification is not None else None
        return exported is not None and exported.is_answered


def formats_table(manifest: RunManifest) -> Table | None:
    """The table; None where a run exported to one format only."""
    found = [_format(id, result, manifest) for id, result in _exports(manifest)]
    if len({one.result.artifact.format for one in found}) < 2:
        return None
    metrics = list(dict.fromkeys(name for one in found if one.evaluation for name in one.evaluation.metrics))
    columns = [
        Column("Step", "code"),
        Column("Format"),
        Column("Size, MB", "number"),
        *(Column(metric, "number") for metric in metrics),
        Column("Sentences", "number"),
        Column("As the model", "number"),
        Column("As its bundle", "number"),
        Column("Tokens/s", "number"),
        Column("Peak, MB", "number"),
        Column("Verified here"),
    ]
    return Table("Formats side by side", columns, [_row(one, metrics) for one in found])


def _row(one: _Format, metrics: Sequence[str]) -> list[str]:
    scores = one.evaluation.metrics if one.evaluation is not None else {}
    parity = one.verification.parity if one.verification is not None else None
    exported = one.verification.exported if one.verification is not None else None
    return [
        one.step,
        one.form,
        formats.megabytes(one.result.artifact.size_bytes),
        *(formats.score(scores[name].value) if name in scores else formats.NOTHING for name in metrics),
        formats.NOTHING if one.evaluation is None else f"{one.evaluation.num_samples:,}",
        formats.percent(parity.exact_match if parity is not None else None),
        formats.percent(exported.agreement if exported is not None else None),
        formats.NOTHING if one.alone is None else formats.significant(one.alone.tokens_per_second),
        formats.optional(one.system.peak_memory_mb if one.system is not None else None),
        one.places,
    ]


def _exports(manifest: RunManifest) -> list[tuple[str, ExportResult]]:
    return [(step.id, step.result) for step in manifest.steps if isinstance(step.result, ExportResult)]


def _format(id: str, result: ExportResult, manifest: RunManifest) -> _Format:
    digest = result.artifact.digest
    packed = {one.artifact.digest for _, one in _exports(manifest) if one.source.digest == digest}
    replays = [
        platform
        for step in manifest.steps
        if isinstance(step.result, ReplayResult) and step.result.artifact.digest in {digest, *packed}
        for platform in step.result.platforms
    ]
    return _Format(
        step=id,
        result=result,
        evaluation=next((one for _, one in evaluations(manifest) if one.artifact.digest == digest), None),
        verification=next((one for _, one in verifications(manifest) if one.candidate_artifact.digest == digest), None),
        system=next(
            (one for _, made in benchmarks(manifest) for one in made.systems if one.artifact.digest == digest), None
        ),
        replays=replays,
    )
