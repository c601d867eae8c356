"""The top of a report: the verdict with its reasons, the figures that a reader looks for first, and the warnings.

Owns what is concluded from a run. The sections below it are `lingolite_reports.sections`.
"""

from __future__ import annotations

from collections import Counter

from lingolite_cli.budgets.table import find_budget
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.runs.measured_results import BenchmarkResult, MonitorResult, VerifyResult
from lingolite_cli.runs.record import RunManifest, Stop
from lingolite_cli.views import formats
from lingolite_reports.content import Fact, Status
from lingolite_reports.exported_tables import comparisons
from lingolite_reports.parity_tables import parities
from lingolite_reports.results import benchmarks, evaluations, verifications

_MOST_FINDINGS = 8
_ALLOWED = {"fail": "not met"}


def status_and_verdict(manifest: RunManifest) -> tuple[Status, str]:
    """The colour of the banner, and the sentence in it. An error outranks a broken budget, which outranks a doubt."""
    if manifest.stop is not None:
        finished, left = len(manifest.steps), len(manifest.unfinished)
        steps = _count(finished + left, "step")
        return "stopped", f"An error {manifest.stop.where} ended the run; {finished} of {steps} done"
    verdicts = manifest.verdicts
    broken = [verdict for _, verdict in verdicts if verdict.breaks_run]
    allowed = Counter(verdict.status for _, verdict in verdicts if verdict.allowed)
    if broken:
        return "fail", f"{len(broken)} of {_count(len(verdicts), 'budget')} broken"
    if manifest.status == "broken budget":
        return "fail", "A budget is broken"
    if allowed:
        doubts = ", ".join(f"{count} {_ALLOWED.get(status, status)}" for status, count in allowed.items())
        return "inconclusive", f"No budget is broken; {doubts}, which the recipe allows"
    if verdicts:
        return "pass", "The budget was met" if len(verdicts) == 1 else f"All {len(verdicts)} budgets were met"
    return "done", "The run is done; its recipe sets no budget"


def reasons_of(manifest: RunManifest) -> list[str]:
    """Why the verdict is what it is; for a plain pass, the budget that was closest to its limit."""
    doubtful = [(step, verdict) for step, verdict in manifest.verdicts if verdict.status != "pass"]
    ordered = sorted(doubtful, key=lambda pair: not pair[1].breaks_run)
    why = [f"{step}.{verdict.budget}: {verdict.why}" for step, verdict in ordered]
    if manifest.stop is not None:
        return [*_stop_reasons(manifest, manifest.stop), *why]
    if why:
        return why
    # Limits on the export are what rounding explains, where nearness says nothing.
    judged = [pair for pair in manifest.verdicts if find_budget(pair[1].budget).group != "export"]
    closest = min(judged, key=lambda pair: _room(pair[1]), default=None)
    return [] if closest is None else [f"The closest was {closest[0]}.{closest[1].budget}: {closest[1].why}"]


def _stop_reasons(manifest: RunManifest, stop: Stop) -> list[str]:
    """What the error said, and which budgets are open because of it."""
    reasons = [stop.message] if stop.hint is None else [stop.message, f"Hint: {stop.hint}"]
    unjudged = [f"{step.id}.{budget}" for step in manifest.unfinished for budget in step.budgets]
    return [*reasons, f"Budgets that were not reached: {', '.join(unjudged)}"] if unjudged else reasons


def _room(verdict: Verdict) -> float:
    """Share of what the limit allows that is left; 0 at the limit."""
    if verdict.seen is None or not verdict.limit:
        return 0.0
    if find_budget(verdict.budget).is_floor:
        worst = verdict.seen if verdict.low is None else verdict.low
        # A floor such as 0.95 is one on a share: what it allows is the 0.05 that may be missing to 1.
        if 0 < verdict.limit < 1:
            return 1 - (1 - worst) / (1 - verdict.limit)
        return (worst - verdict.limit) / abs(verdict.limit)
    worst = verdict.seen if verdict.high is None else verdict.high
    return (verdict.limit - worst) / abs(verdict.limit)


def identity_of(manifest: RunManifest) -> list[Fact]:
    """Which file the run is about, and the commit that it was made of."""
    found, shipped = [], manifest.shipped
    if shipped is not None:
        is_good = status_and_verdict(manifest)[0] in ("pass", "inconclusive", "done")
        form = f"{shipped.format}, {shipped.scheme}" if shipped.scheme else shipped.format
        detail = f"{form}, {formats.megabytes(shipped.size_bytes)} MB"
        if any(step.result.made and step.result.made.digest == shipped.digest for step in manifest.steps):
            detail += ", in the directory of this run"
        found.append(Fact("To ship" if is_good else "Not to ship", shipped.path, detail))
    if manifest.revision is not None:
        changed = "with uncommitted changes" if manifest.revision.is_changed else ""
        found.append(Fact("Git commit", manifest.revision.commit, changed))
    return found


def facts_of(manifest: RunManifest) -> list[Fact]:
    """The shipped artifact compared with its reference; only where there is exactly one verification."""
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


def findings_of(manifest: RunManifest) -> list[str]:
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


def warnings_of(manifest: RunManifest) -> list[str]:
    """Where files differ from their bundles, what patterns suggest, and what backends warned of; each once."""
    said = [
        f"{candidate}: located: {exported.located}"
        for candidate, exported in comparisons(manifest)
        if exported.located is not None
    ]
    said += [
        f"{pair}: second opinion, by the pattern: {cause.summary}"
        for _, pair, parity in parities(manifest)
        for cause in parity.causes
    ]
    said += [f"{step}: {warning}" for step, result in evaluations(manifest) for warning in result.warnings]
    said += [
        f"{step.id}: {warning}"
        for step in manifest.steps
        if isinstance(step.result, MonitorResult)
        for warning in step.result.warnings
    ]
    known = {warning for _, result in evaluations(manifest) for warning in result.warnings}
    said += [
        f"{step}: {warning}"
        for step, result in verifications(manifest)
        for warning in result.warnings
        if warning not in known
    ]
    return list(dict.fromkeys(said))
