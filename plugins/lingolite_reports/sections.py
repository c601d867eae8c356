"""The content of a report, in the order that a reader needs it: verdict, budgets, quality, size, speed, details.

Owns what is said. How it looks is up to the templates; figures are drawn apart and placed by section key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import msgspec

from lingolite_cli.budgets.table import find_budget
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.evaluation.word_diff import Span, word_diff
from lingolite_cli.runs.record import RunManifest, Stop
from lingolite_cli.runs.results import BenchmarkResult, SentencePair, VerifyResult
from lingolite_reports import formats
from lingolite_reports.faults import faults_table
from lingolite_reports.lengths import lengths_table
from lingolite_reports.parity_tables import parities, parity_tables
from lingolite_reports.searches import search_tables
from lingolite_reports.sentences import Pairing
from lingolite_reports.speed_tables import buckets_table, rounds_table, speed_table, start_table
from lingolite_reports.tables import (
    Table,
    benchmarks,
    budgets_table,
    corpora_table,
    differences_table,
    digests_table,
    environment_table,
    evaluations,
    scores_table,
    sizes_table,
    steps_table,
    systems_table,
    verifications,
)
from lingolite_reports.trainings import texts_table, trainings_table

_MOST_FINDINGS = 8

Status = Literal["pass", "fail", "inconclusive", "done", "stopped"]

Key = Literal[
    "budgets", "training", "search", "quality", "parity", "size", "speed", "faults", "sentences", "steps", "provenance"
]


class DiffedSentence(msgspec.Struct, frozen=True):
    """One sentence by both systems, with the words that differ."""

    number: int
    delta: str
    source: str
    reference: str
    reference_hypothesis: list[Span]
    candidate_hypothesis: list[Span]


class SentenceList(msgspec.Struct, frozen=True):
    """The worst sentences of one candidate against its reference."""

    reference: str
    candidate: str
    pairs: list[DiffedSentence]


class ReportSection(msgspec.Struct, frozen=True):
    """A heading and what stands below it."""

    key: Key
    heading: str
    notes: list[str] = []
    tables: list[Table] = []
    comparisons: list[SentenceList] = []


class Fact(msgspec.Struct, frozen=True):
    """A figure that a reader looks for first, and what it is measured by."""

    label: str
    value: str
    detail: str


class Report(msgspec.Struct, frozen=True):
    """A whole report. `status` decides the colour of the banner that says `verdict` and gives `reasons` for it.

    `facts` are the figures of what was shipped; where several systems were compared, `findings` has a line for each.
    """

    title: str
    run_id: str
    status: Status
    verdict: str
    reasons: list[str]
    facts: list[Fact]
    findings: list[str]
    warnings: list[str]
    sections: list[ReportSection]
    recipe: str


def compose(manifest: RunManifest, found: Sequence[Pairing] = ()) -> Report:
    """The report of a run. Sections with nothing to show are left out.

    Args:
        manifest: of the run.
        found: its translations, where they are at hand.
    """
    status, verdict = _verdict(manifest)
    facts = _facts(manifest)
    sections = [_budgets(manifest), _training(manifest), _search(manifest), _quality(manifest, found)]
    sections += [_parity(manifest), _size(manifest)]
    sections += [
        _speed(manifest),
        _faults(manifest),
        _sentences(manifest, found),
        _steps(manifest),
        _provenance(manifest),
    ]
    return Report(
        title=manifest.name,
        run_id=manifest.id,
        status=status,
        verdict=verdict,
        reasons=_reasons(manifest),
        facts=facts,
        findings=[] if facts else _findings(manifest),
        warnings=_warnings(manifest),
        sections=[
            section
            for section in sections
            if section.tables or section.comparisons or (section.key == "sentences" and found)
        ],
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
    )


def _verdict(manifest: RunManifest) -> tuple[Status, str]:
    if manifest.stop is not None:
        finished, left = len(manifest.steps), len(manifest.unfinished)
        steps = _count(finished + left, "step")
        return "stopped", f"An error {manifest.stop.where} ended the run; {finished} of {steps} done"
    verdicts = manifest.verdicts
    broken = [verdict for _, verdict in verdicts if verdict.breaks_run]
    allowed = [verdict for _, verdict in verdicts if verdict.status == "inconclusive" and not verdict.breaks_run]
    if broken:
        return "fail", f"{len(broken)} of {_count(len(verdicts), 'budget')} broken"
    if manifest.status == "broken budget":
        return "fail", "A budget is broken"
    if allowed:
        return "inconclusive", f"No budget is broken; {len(allowed)} inconclusive, which the recipe allows"
    if verdicts:
        return "pass", "The budget was met" if len(verdicts) == 1 else f"All {len(verdicts)} budgets were met"
    return "done", "The run is done; its recipe sets no budget"


def _reasons(manifest: RunManifest) -> list[str]:
    """Why the verdict is what it is; of a plain pass, how close it was."""
    doubtful = [(step, verdict) for step, verdict in manifest.verdicts if verdict.status != "pass"]
    ordered = sorted(doubtful, key=lambda pair: not pair[1].breaks_run)
    why = [f"{step}.{verdict.budget}: {verdict.why}" for step, verdict in ordered]
    if manifest.stop is not None:
        return [*_stop_reasons(manifest, manifest.stop), *why]
    if why:
        return why
    closest = min(manifest.verdicts, key=lambda pair: _room(pair[1]), default=None)
    return [] if closest is None else [f"The closest was {closest[0]}.{closest[1].budget}: {closest[1].why}"]


def _stop_reasons(manifest: RunManifest, stop: Stop) -> list[str]:
    """What the error said, and which budgets are open because of it."""
    reasons = [stop.message] if stop.hint is None else [stop.message, f"Hint: {stop.hint}"]
    unjudged = [f"{step.id}.{budget}" for step in manifest.unfinished for budget in step.budgets]
    return [*reasons, f"Budgets that were not reached: {', '.join(unjudged)}"] if unjudged else reasons


def _room(verdict: Verdict) -> float:
    """How much of what the limit allows is left: of a floor on a share what is missing to 1, or else of the limit."""
    if verdict.seen is None or not verdict.limit:
        return 0.0
    if find_budget(verdict.budget).is_floor:
        worst = verdict.seen if verdict.low is None else verdict.low
        if 0 < verdict.limit < 1:
            return 1 - (1 - worst) / (1 - verdict.limit)
        return (worst - verdict.limit) / abs(verdict.limit)
    worst = verdict.seen if verdict.high is None else verdict.high
    return (verdict.limit - worst) / abs(verdict.limit)


def _facts(manifest: RunManifest) -> list[Fact]:
    """What was shipped against what it was made from: of one verification alone."""
    if len(verifications(manifest)) != 1:
        return []
    _, result = verifications(manifest)[0]
    before = formats.megabytes(result.reference_artifact.size_bytes)
    size = f"{formats.significant(result.size_mb)} MB"
    detail = f"{formats.ratio(result.size_ratio)} of {before} MB"
    if result.download_mb is not None:
        detail += f"; {formats.significant(result.download_mb)} MB to download"
    facts = [Fact("Size", size, detail)]
    for seen in result.differences:
        detail = formats.signed(seen.delta)
        if seen.low is not None:
            detail += f", {100 * seen.confidence:g} % interval {formats.interval(seen.low, seen.high)}"
        facts.append(Fact(seen.metric, formats.score(seen.candidate), detail))
    if result.parity is not None and result.parity.top1_agreement is not None:
        same = f"of tokens ranked first; {formats.percent(result.parity.exact_match)} of sentences the same"
        facts.append(Fact("Parity", formats.percent(result.parity.top1_agreement), same))
    elif result.parity is not None:
        facts.append(Fact("Parity", formats.percent(result.parity.exact_match), "of sentences the same"))
    return [*facts, *(_speed_fact(timed) for _, timed in benchmarks(manifest) if len(timed.systems) > 1)]


def _speed_fact(result: BenchmarkResult) -> Fact:
    """The last system against the first, at the first batch size."""
    first, last = result.systems[0], result.systems[-1]
    before, after = first.rows[0], last.rows[0]
    gain = after.ratio.median if after.ratio else after.tokens_per_second / before.tokens_per_second
    detail = f"{first.name} at batch {after.batch_size}; {formats.significant(after.tokens_per_second)} tokens/s"
    if after.ratio is not None and after.ratio.is_noisy:
        detail += "; noisy"
    return Fact(f"Speed of {last.name}", formats.ratio(gain), detail)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _findings(manifest: RunManifest) -> list[str]:
    """One line a comparison: what was gained and what it cost. Of many there are tables alone."""
    lines = [_verification_line(result) for _, result in verifications(manifest)]
    lines += [_benchmark_line(result) for _, result in benchmarks(manifest) if len(result.systems) > 1]
    return lines if len(lines) <= _MOST_FINDINGS else []


def _verification_line(result: VerifyResult) -> str:
    parts = [f"{formats.significant(result.size_mb)} MB, {formats.ratio(result.size_ratio)} the size"]
    for difference in result.differences:
        values = f"{formats.score(difference.reference)} → {formats.score(difference.candidate)}"
        parts.append(f"{difference.metric} {values} ({formats.signed(difference.delta)})")
    if result.parity is not None and result.parity.top1_agreement is not None:
        parts.append(f"{formats.percent(result.parity.top1_agreement)} of tokens agree")
    elif result.parity is not None:
        parts.append(f"{formats.percent(result.parity.exact_match)} of sentences are the same")
    return f"{result.candidate} against {result.reference}: {', '.join(parts)}"


def _benchmark_line(result: BenchmarkResult) -> str:
    first, last = result.systems[0], result.systems[-1]
    before = {row.batch_size: row.tokens_per_second for row in first.rows}
    gains = [
        f"{formats.ratio(row.tokens_per_second / before[row.batch_size])} the tokens/s at batch {row.batch_size}"
        for row in last.rows
    ]
    return f"{last.name} against {first.name}: {', '.join(gains)}"


def _warnings(manifest: RunManifest) -> list[str]:
    said = [f"{pair}: {cause.summary}" for _, pair, parity in parities(manifest) for cause in parity.causes]
    said += [f"{step}: {warning}" for step, result in evaluations(manifest) for warning in result.warnings]
    known = {warning for _, result in evaluations(manifest) for warning in result.warnings}
    said += [
        f"{step}: {warning}"
        for step, result in verifications(manifest)
        for warning in result.warnings
        if warning not in known
    ]
    return list(dict.fromkeys(said))


def _section(key: Key, heading: str, tables: list[Table | None], *, notes: list[str] | None = None) -> ReportSection:
    return ReportSection(key, heading, notes or [], [table for table in tables if table is not None])


def _budgets(manifest: RunManifest) -> ReportSection:
    return _section("budgets", "Budgets", [budgets_table(manifest)])


def _training(manifest: RunManifest) -> ReportSection:
    return _section("training", "Training", [trainings_table(manifest), texts_table(manifest)])


def _search(manifest: RunManifest) -> ReportSection:
    note = (
        "Each configuration was made and translated with. Units alone say where to look: what they cost need not add "
        "up. Cross-entropies are differences in nats a reference token."
    )
    return _section("search", "Search", [*search_tables(manifest)], notes=[note])


def _quality(manifest: RunManifest, found: Sequence[Pairing]) -> ReportSection:
    tables = [systems_table(manifest), differences_table(manifest)]
    return _section("quality", "Quality", [*tables, lengths_table(found), scores_table(manifest)])


def _parity(manifest: RunManifest) -> ReportSection:
    notes = [f"{pair}: not measured: {line}." for _, pair, parity in parities(manifest) for line in parity.not_measured]
    return _section("parity", "Parity", parity_tables(manifest), notes=notes)


def _size(manifest: RunManifest) -> ReportSection:
    return _section("size", "Size", [sizes_table(manifest)])


def _speed(manifest: RunManifest) -> ReportSection:
    tables: list[Table | None] = []
    for step, result in benchmarks(manifest):
        if result.systems:
            tables += [make(result, step=step) for make in (speed_table, start_table, buckets_table)]
    judged = [(step, result.timing) for step, result in verifications(manifest)]
    judged += [(step, result.timing) for step, result in benchmarks(manifest)]
    tables += [rounds_table(timing, step=step) for step, timing in judged if timing is not None]
    note = "Ratios are to the first system, measured in turn with it in one run; latency is of one sentence at a time."
    return _section("speed", "Speed", tables, notes=[note])


def _faults(manifest: RunManifest) -> ReportSection:
    tables = [faults_table(result) for _, result in verifications(manifest)]
    comparisons = [
        SentenceList(result.reference, result.candidate, [_pair(pair) for pair in result.faulty])
        for _, result in verifications(manifest)
        if result.faulty
    ]
    note = "New faults are the candidate's where the reference has none; these sentences have some."
    found = [table for table in tables if table is not None]
    return ReportSection("faults", "Faults", [note] if comparisons else [], found, comparisons)


def _sentences(manifest: RunManifest, found: Sequence[Pairing]) -> ReportSection:
    comparisons = [
        SentenceList(result.reference, result.candidate, [_pair(pair) for pair in result.worst])
        for _, result in verifications(manifest)
        if result.worst
    ]
    note = "Worst first, by sentence chrF of candidate minus reference. Marked words stand in only one of the two."
    heading = "Sentences" if found else "Sentences with the largest losses"
    return ReportSection("sentences", heading, [note], comparisons=comparisons)


def _pair(pair: SentencePair) -> DiffedSentence:
    reference, candidate = word_diff(pair.reference_hypothesis, pair.candidate_hypothesis)
    return DiffedSentence(
        number=pair.index + 1,
        delta=formats.signed(pair.delta),
        source=pair.source,
        reference=pair.reference,
        reference_hypothesis=reference,
        candidate_hypothesis=candidate,
    )


def _steps(manifest: RunManifest) -> ReportSection:
    return _section("steps", "Steps", [steps_table(manifest)])


def _provenance(manifest: RunManifest) -> ReportSection:
    by_features: dict[str, list[str]] = {}
    for step, result in verifications(manifest):
        if result.cpu_features == manifest.environment.cpu_features:
            continue
        by_features.setdefault(", ".join(result.cpu_features) or "no special instructions", []).append(step)
    notes = [f"{', '.join(steps)} ran on a CPU with {features}." for features, steps in by_features.items()]
    tables = [environment_table(manifest), corpora_table(manifest), digests_table(manifest)]
    return _section("provenance", "Provenance", tables, notes=notes)
