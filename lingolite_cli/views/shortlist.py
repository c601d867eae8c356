"""How a vocabulary shortlist looks on a terminal."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.console import Console
from lingolite_cli.jobs.shortlist import LearnedShortlist


def show_shortlist(learned: LearnedShortlist, out: Path, *, num_candidates: int, console: Console) -> None:
    """What it was learned from, how large it is, and how much of the dev text it covers."""
    made, coverage = learned.shortlist, learned.coverage
    console.print_json({"out": str(out), "details": made.details, "frequent": len(made.frequent), "coverage": coverage})
    console.print(
        f"{out}: {'-'.join(learned.languages)} from {made.details.num_pairs:,} pairs, {made.details.method}\n"
        f"  {len(made.frequent):,} tokens for every sentence, up to {num_candidates} for each source token"
    )
    if coverage is not None:
        console.print(
            f"  on {coverage.num_sentences:,} sentences of the dev text: {coverage.token_share:.2%} of the reference "
            f"tokens covered,\n  all of them in {coverage.sentence_share:.1%} of the sentences; "
            f"{coverage.mean_target_tokens:,.0f} of {coverage.vocab_size:,} target tokens a sentence"
        )
