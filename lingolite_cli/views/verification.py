"""How a candidate against its reference, and verdicts on budgets, look on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lingolite_cli.budgets.questions import MODEL_QUESTION, by_question
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.console import Console, status_text
from lingolite_cli.evaluation.differences import p_value_text
from lingolite_cli.evaluation.intervals import SIGNIFICANT, bracketed, spelled
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.views.exported import show_exported
from lingolite_cli.views.parity import show_parity


def show_verification(result: VerifyResult, console: Console) -> None:
    """Differences with their intervals, parity and size."""
    rows = []
    for difference in result.differences:
        rows.append(
            [
                difference.metric,
                f"{difference.reference:.2f}",
                f"{difference.candidate:.2f}",
                f"{difference.delta:+.2f}",
                bracketed(difference.low, difference.high),
                p_value_text(difference.p_value),
            ]
        )
    console.table(
        ["metric", result.reference, result.candidate, "difference", "95 % interval", "p"],
        rows,
        right=f"{result.reference},{result.candidate},difference,p",
    )
    if result.exported is not None:
        show_exported(result.exported, console)
    if result.parity is not None:
        show_parity(result.parity, console)
    _show_faults(result, console)
    console.print(f"size: {result.size_mb:.2f} MB, {result.size_ratio:.3f} of {result.reference}{_download(result)}")
    if result.timing is not None and result.timing.machine is not None:
        console.print(f"times: of {result.candidate} on {result.timing.machine}")


def _download(result: VerifyResult) -> str:
    if result.download_mb is None:
        return ""
    return f"; download ({result.download_codec}): {result.download_mb:.2f} MB, {result.download_ratio:.3f} of it"


def _show_faults(result: VerifyResult, console: Console) -> None:
    found = [fault for fault in result.faults if fault.reference or fault.candidate]
    if not found:
        console.print("no faults in either system")
        return
    console.table(
        ["sentences with", result.reference, result.candidate, "new"],
        [[fault.kind, str(fault.reference), str(fault.candidate), str(len(fault.new))] for fault in found],
        right=f"{result.reference},{result.candidate},new",
    )


def show_verdicts(verdicts: Sequence[tuple[str, Verdict]], console: Console) -> None:
    """Each budget with its limit, what was seen, how sure that is, and the verdict; below, why some are no pass.

    Each question has a table of its own.
    """
    questions = by_question(verdicts)
    for question, asked in questions.items():
        _show_verdicts(asked, console, title=None if list(questions) == [MODEL_QUESTION] else question)


def _show_verdicts(verdicts: Sequence[tuple[str, Verdict]], console: Console, *, title: str | None) -> None:
    names = [_budget_name(step, verdict) for step, verdict in verdicts]
    columns = {"budget": names} | {
        heading: [text(verdict) for _, verdict in verdicts]
        for heading, text in _VERDICT_COLUMNS.items()
        if any(text(verdict) for _, verdict in verdicts)
    }
    console.table(list(columns), list(zip(*columns.values(), strict=True)), right="limit,seen,rounds", title=title)
    for name, (_, verdict) in zip(names, verdicts, strict=True):
        if verdict.status != "pass":
            console.print(f"{name}: {verdict.why}")


def verdict_line(verdicts: Sequence[tuple[str, Verdict]]) -> str:
    """What became of all budgets, in a line; each is (the id of its step, which may be empty, its verdict)."""
    broken = [_budget_name(step, verdict) for step, verdict in verdicts if verdict.breaks_run]
    if broken:
        return f"{status_text('fail')}: {len(broken)} of {len(verdicts)} budgets broken: {', '.join(broken)}"
    allowed = [(verdict.status, _budget_name(step, verdict)) for step, verdict in verdicts if verdict.allowed]
    if allowed:
        met = f"{len(verdicts) - len(allowed)} of {len(verdicts)} budgets met"
        rest = [
            f"{status} but allowed: {', '.join(name for own, name in allowed if own == status)}"
            for status in dict.fromkeys(status for status, _ in allowed)
        ]
        return f"{status_text('pass')}: {', '.join([met, *rest])}"
    if not verdicts:
        return "no budgets were set"
    met = "1 budget met" if len(verdicts) == 1 else f"all {len(verdicts)} budgets met"
    return f"{status_text('pass')}: {met}"


def _budget_name(step: str, verdict: Verdict) -> str:
    return f"{step}.{verdict.budget}" if step else verdict.budget


def _verdict_status(verdict: Verdict) -> str:
    return status_text(verdict.status) + (" (allowed)" if verdict.allowed else "")


def _verdict_interval(verdict: Verdict) -> str:
    return spelled(verdict.low, verdict.high, SIGNIFICANT)


_VERDICT_COLUMNS: dict[str, Callable[[Verdict], str]] = {
    "limit": lambda verdict: f"{verdict.limit:g}",
    "seen": lambda verdict: "" if verdict.seen is None else f"{verdict.seen:.4g}",
    "95 % interval": _verdict_interval,
    "rounds": lambda verdict: "" if verdict.rounds is None else str(verdict.rounds),
    "verdict": _verdict_status,
}
"""What the table of verdicts shows; a column without any entry is left out."""
