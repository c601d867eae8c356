"""Checks of the input that all metrics share."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.errors import LingoLiteError


def check_corpus(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Refuse an empty corpus, and streams of different lengths.

    Args:
        hypotheses: N sentences.
        references: R streams of N sentences each.

    Raises:
        LingoLiteError: there is nothing to score, or the streams differ in length.
    """
    if not hypotheses:
        raise LingoLiteError("there are no hypotheses to score")
    if not references:
        raise LingoLiteError(
            "there are no references to score against", hint="give the corpus `references`, or a TSV file"
        )
    for stream in references:
        if len(stream) != len(hypotheses):  # sacreBLEU would silently score the shorter of the two
            raise LingoLiteError(f"{len(hypotheses):,} hypotheses against {len(stream):,} references")
