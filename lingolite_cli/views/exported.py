"""Whether a file is what was exported, as people read it in a terminal."""

from __future__ import annotations

from lingolite_cli.budgets.questions import EXPORT_QUESTION
from lingolite_cli.console import Console
from lingolite_cli.evaluation.exported import ExportedComparison

_MOST_LISTED = 5


def show_exported(exported: ExportedComparison, console: Console) -> None:
    """What was compared with the bundle, what differs, and where."""
    if not exported.is_answered:
        console.print(f"{EXPORT_QUESTION} not answered")
    else:
        console.print(
            f"against the bundle {(exported.bundle or '')[:12]} ({exported.found}), {exported.arithmetic}: "
            f"{', '.join(_figures(exported))}"
        )
    if exported.tokenizer is not None:
        tokenizer = exported.tokenizer
        text = f"the tokenizer differs: {tokenizer.summary}; other ids in {tokenizer.num_sentences:,} of "
        console.print(f"{text}{tokenizer.num_compared:,} sentences")
        if tokenizer.example:
            console.print(f"  for example: {tokenizer.example}")
    for line in exported.manifest:
        console.print(f"the manifest differs: {line}")
    for line in exported.files:
        console.print(f"a file differs: {line}")
    if exported.shortlist:
        console.print(f"the shortlist differs: {exported.shortlist}")
    for number, operation in enumerate(exported.operations[:_MOST_LISTED]):
        name = "located" if number == 0 else "also"
        console.print(f"{name}: {operation.summary} ({operation.times:.3g} times what rounding explains)")
    if len(exported.operations) > _MOST_LISTED:
        console.print(f"also: {len(exported.operations) - _MOST_LISTED} further operations")
    for missing in exported.not_measured:
        console.print(f"not measured: {missing}")


def _figures(exported: ExportedComparison) -> list[str]:
    figures = []
    if exported.rounding is not None:
        largest = f"the largest difference is {exported.rounding:.2g} of what rounding explains"
        figures.append(f"{exported.num_operations:,} operations, {largest}")
    if exported.logits is not None:
        figures.append(f"KL {exported.logits.kl_mean:.2g} nats a token")
    if exported.score_difference is not None:
        figures.append(f"log-probabilities off by {exported.score_difference:.2g} nats a token")
    if exported.agreement is not None:
        figures.append(f"{exported.agreement:.2%} of {exported.num_tokens:,} tokens ranked first by both")
    return figures
