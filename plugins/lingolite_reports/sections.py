"""The content of a report, in the order that a reader needs it: verdict, budgets, quality, size, speed, details.

Owns which sections there are and what each one holds. How it looks is up to the templates; figures are drawn apart and
placed by section key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from lingolite_cli.budgets.questions import EXPORT_QUESTION
from lingolite_cli.evaluation.word_diff import word_diff
from lingolite_cli.runs.measured_results import MonitorResult, SentencePair
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.monitoring import monitoring_tables
from lingolite_cli.views.speed_tables import buckets_table, rounds_table, speed_table, start_table
from lingolite_cli.views.tables import Table
from lingolite_reports.content import DiffedSentence, Key, Report, ReportSection, SentenceList
from lingolite_reports.exported_tables import comparisons, exported_tables
from lingolite_reports.faults import faults_table
from lingolite_reports.format_tables import formats_table
from lingolite_reports.lengths import lengths_table
from lingolite_reports.parity_tables import parities, parity_tables
from lingolite_reports.provenance_tables import (
    corpora_table,
    digests_table,
    environment_table,
    sizes_table,
    steps_table,
)
from lingolite_reports.quality_tables import budgets_tables, differences_table, scores_table, systems_table
from lingolite_reports.results import benchmarks, verifications
from lingolite_reports.searches import search_tables
from lingolite_reports.sentences import Pairing
from lingolite_reports.summary import facts_of, findings_of, identity_of, reasons_of, status_and_verdict, warnings_of
from lingolite_reports.trainings import texts_table, trainings_table


def compose(manifest: RunManifest, found: Sequence[Pairing] = ()) -> Report:
    """The report of a run. Sections with nothing to show are left out.

    Args:
        manifest: of the run.
        found: its translations, where they are at hand.
    """
    status, verdict = status_and_verdict(manifest)
    facts = facts_of(manifest)
    sections = [
        _budgets(manifest),
        _formats(manifest),
        _served(manifest),
        _training(manifest),
        _search(manifest),
        _quality(manifest, found),
    ]
    sections += [_exported(manifest), _parity(manifest), _size(manifest)]
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
        reasons=reasons_of(manifest),
        identity=identity_of(manifest),
        facts=facts,
        findings=[] if facts else findings_of(manifest),
        warnings=warnings_of(manifest),
        sections=[
            section
            for section in sections
            if section.tables or section.comparisons or (section.key == "sentences" and found)
        ],
        recipe=json.dumps(manifest.recipe, indent=2, ensure_ascii=False),
    )


def _section(key: Key, heading: str, tables: list[Table | None], *, notes: list[str] | None = None) -> ReportSection:
    return ReportSection(key, heading, notes or [], [table for table in tables if table is not None])


def _budgets(manifest: RunManifest) -> ReportSection:
    return _section("budgets", "Budgets", budgets_tables(manifest))


def _formats(manifest: RunManifest) -> ReportSection:
    note = (
        "Scores compare where the number of sentences is the same. Speed is of one sentence at a time. Sentences with "
        "the same tokens as the model are counted as a whole; tokens as its bundle gives them, one by one. Goldens are "
        "replayed by the script that ships with them."
    )
    return _section("formats", "Formats", [formats_table(manifest)], notes=[note])


def _served(manifest: RunManifest) -> ReportSection:
    """What servers recorded: what began, drift, scores, days and hours."""
    note = (
        "Times are UTC. Latency is from arrival to answer, of translated requests; faults are those that a translation "
        "shows without a reference; log p is the mean log-probability of target tokens."
    )
    results = [step.result for step in manifest.steps if isinstance(step.result, MonitorResult)]
    return _section("served", "Served", [table for one in results for table in monitoring_tables(one)], notes=[note])


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


def _exported(manifest: RunManifest) -> ReportSection:
    notes = [
        f"{candidate}: not measured: {line}."
        for candidate, exported in comparisons(manifest)
        for line in exported.not_measured
    ]
    return _section("exported", EXPORT_QUESTION, exported_tables(manifest), notes=notes)


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
