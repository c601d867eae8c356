"""The statistics of a sentence that is translated completely wrong: a failure that a test set may not contain.

A test set of N sentences cannot show whether a system fails in one of N sentences. So verdicts assume one such failure
(`guarded_interval`); this module owns its statistics. K statistics.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.evaluation.scorer import Scorer, Translations

if TYPE_CHECKING:
    from lingolite_cli.evaluation.statistics import Pairs

_SAMPLE = 200
"""Sentences that the mean is taken over: enough for a mean, few enough for a neural metric."""

_LETTER = "\ua66e"  # MULTIOCULAR O, in one manuscript of the fifteenth century: a letter that no reference has


def lost_sentences(scorer: Scorer, translations: Translations) -> Pairs:
    """The statistics of an average sentence, translated as this system does, and failed.

    There are two failures, because a metric that penalizes one lightly penalizes the other: all characters are wrong,
    at the same length, and the translation is empty.

    Args:
        scorer: of a metric that is resamplable.
        translations: of the system that has not failed.

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
