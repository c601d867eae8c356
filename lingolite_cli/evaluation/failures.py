"""What it costs to lose a sentence altogether, by any metric: the failure that a test set may not hold.

A test set of N sentences cannot tell whether a system fails in one sentence of N. So verdicts count on one such failure
(`guarded_interval`), and this module says what its statistics are. K statistics.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.evaluation.scorer import Scorer, Translations

if TYPE_CHECKING:
    from lingolite_cli.evaluation.statistics import Pairs

_SAMPLE = 200
"""Sentences of which the mean is taken: enough for a mean, and few for a neural metric."""

_LETTER = "\ua66e"  # MULTIOCULAR O, in one manuscript of the fifteenth century: a letter that no reference has


def lost_sentences(scorer: Scorer, translations: Translations) -> Pairs:
    """The mean sentence as this system translates it, and as one that fails does.

    It fails in two ways, since metrics that excuse the one do not excuse the other: everything is wrong, at the same
    length, and nothing is said at all.

    Args:
        scorer: of a metric that is resamplable.
        translations: of the system that does not fail.

    Returns:
        [2, K] of each.
    """
    import numpy as np

    drawn = np.random.default_rng(0).permutation(len(translations.sources))[:_SAMPLE]
    sample = translations.pick(drawn.tolist())
    wrong = [re.sub(r"\S", _LETTER, text) for text in sample.hypotheses]
    failed = [msgspec.structs.replace(sample, hypotheses=texts) for texts in (wrong, [""] * len(wrong))]
    mean = scorer.statistics(sample).mean(axis=0)
    return np.stack([mean, mean]), np.stack([scorer.statistics(side).mean(axis=0) for side in failed])
