"""How a comparison of two systems looks on a terminal: their scores and sentences, and what runs were made of."""

from __future__ import annotations

import sys

from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.console import Console, has_colours, painted, status_text
from lingolite_cli.evaluation.comparison import ComparedSentence, SourceLengthBucket, SystemComparison
from lingolite_cli.evaluation.differences import MetricDifference, p_value_text
from lingolite_cli.evaluation.intervals import SIGNED, bracketed
from lingolite_cli.evaluation.word_diff import Span, word_diff
from lingolite_cli.jobs.system_comparison import CompareOutcome
from lingolite_cli.runs.changes import Changes
from lingolite_cli.text.visible import shown_on_a_line

_NONE = "–"


def show_compare_outcome(found: CompareOutcome, *, first: str, second: str, console: Console) -> None:
    """Each text that both translated, what the runs were made of, and what is significantly worse."""
    for comparison in found.comparisons:
        show_comparison(comparison, first=first, second=second, console=console)
    if found.changes is not None:
        show_changes(found.changes, console)
    for line in found.regressions:
        console.print(f"worse: {line}")
    for line in found.unmeasured:
        console.print(f"not measured: {line}")
    if not found.regressions:
        console.print("no significant regression" if found.is_measured else "nothing could be measured")


def show_comparison(comparison: SystemComparison, *, first: str, second: str, console: Console) -> None:
    """Scores, wins and losses, lengths, and the sentences that differ most."""
    console.print(f"{comparison.name}: {comparison.num_sentences:,} sentences\n  A  {first}\n  B  {second}")
    console.table(
        ["metric", "A", "B", "B − A", "95 % interval", "p"],
        [[d.metric, f"{d.reference:.2f}", f"{d.candidate:.2f}", *_difference(d)] for d in comparison.differences],
        right="A,B,B − A,p",
    )
    for metric, signature in comparison.signatures.items():
        console.print(f"{metric}: {signature}")
    console.print(
        f"B is better on {comparison.wins:,}, worse on {comparison.losses:,} and as good on {comparison.ties:,} "
        f"sentences by chrF; {comparison.same:,} are the same text"
    )
    if len(comparison.buckets) > 1 and comparison.same < comparison.num_sentences:
        rows = [
            [*_bucket(bucket), d.metric, *_difference(d)] for bucket in comparison.buckets for d in bucket.differences
        ]
        columns = ["source words", "sentences", "metric", "B − A", "95 % interval", "p"]
        console.table(columns, rows, right="sentences,B − A,p")
    for title, sentences in (("gained most", comparison.best), ("lost most", comparison.worst)):
        if sentences:
            console.print(f"\n{title}:")
        for sentence in sentences:
            _show_sentence(sentence, console)


def _difference(difference: MetricDifference) -> list[str]:
    interval = bracketed(difference.low, difference.high)
    return [SIGNED(difference.delta), interval, p_value_text(difference.p_value)]


def _bucket(bucket: SourceLengthBucket) -> tuple[str, str]:
    words = f"{bucket.low} and more" if bucket.high is None else f"{bucket.low} to {bucket.high}"
    return words, f"{bucket.num_sentences:,}"


def _show_sentence(sentence: ComparedSentence, console: Console) -> None:
    first, second = word_diff(sentence.first, sentence.second)
    console.print(f"\n  {sentence.index + 1:>5}  {sentence.delta:+.1f}  {shown_on_a_line(sentence.source)}")
    console.print(f"     reference  {shown_on_a_line(sentence.reference)}")
    console.print(f"             A  {_marked(first, '-', 'red')}")
    console.print(f"             B  {_marked(second, '+', 'green')}")


def _marked(spans: list[Span], sign: str, style: str) -> str:
    """The words that only one of the two has, coloured, or in brackets where there is no colour."""
    is_coloured = has_colours(sys.stdout)
    texts = []
    for span in spans:
        text = shown_on_a_line(span.text)
        marked = painted(text, style) if is_coloured else f"[{sign}{text}{sign}]"
        texts.append(marked if span.is_changed else text)
    return " ".join(texts)


def show_changes(changes: Changes, console: Console) -> None:
    """What the runs were made of, and their budgets."""
    if changes.setup:
        console.table(
            ["changed", "A", "B"],
            [[drift.what, drift.before or _NONE, drift.after or _NONE] for drift in changes.setup],
        )
    else:
        console.print("recipe, inputs and environment are the same")
    if changes.budgets:
        rows = [[change.budget, *_verdict(change.first), *_verdict(change.second)] for change in changes.budgets]
        console.table(["budget", "A", "verdict", "B", "verdict "], rows, right="A,B")


def _verdict(verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return _NONE, ""
    return "" if verdict.seen is None else f"{verdict.seen:.4g}", status_text(verdict.status)
