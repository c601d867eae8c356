"""Translations that are completely wrong: what a metric makes of them, and the one that a test set may not contain.

A test set of N sentences cannot show whether a system fails in one of N sentences. So verdicts assume one such failure
(`guarded_interval`); this module owns its statistics. And a metric that scores failures as it scores perfect
translations measures nothing; this module owns both scores. K statistics.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.evaluation.differences import MetricRange
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.plugins.specs import merit

if TYPE_CHECKING:
    from lingolite_cli.evaluation.statistics import Pairs

_SAMPLE = 200
"""Sentences that the mean is taken over: enough for a mean, few enough for a neural metric."""

_LONGEST = 25
"""Sentences of each kind of length that tell whether a metric can measure a text; see `metric_range`."""

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
    failed = _failed(sample)
    mean = scorer.statistics(sample).mean(axis=0)
    return np.stack([mean, mean]), np.stack([scorer.statistics(side).mean(axis=0) for side in failed])


def _failed(translations: Translations) -> list[Translations]:
    """The same sentences, with every character of the hypotheses wrong, and without any."""
    wrong = [re.sub(r"\S", _LETTER, text) for text in translations.hypotheses]
    return [msgspec.structs.replace(translations, hypotheses=texts) for texts in (wrong, [""] * len(wrong))]


def metric_range(scorer: Scorer, translations: Translations) -> MetricRange:
    """What the metric gives for the references themselves as a translation, and for the worse of both failures.

    The longest sentences decide, by words and by characters: metrics that need n-grams of some length have the most of
    them there, so that what these cannot measure the whole text cannot.
    """
    references = [known[0] for known in translations.references]
    measures: tuple[Callable[[int], int], ...] = (
        lambda index: len(references[index].split()),
        lambda index: len(references[index]),
    )
    chosen = {index for size in measures for index in sorted(range(len(references)), key=size)[-_LONGEST:]}
    text = translations.pick(sorted(chosen))
    perfect = msgspec.structs.replace(text, hypotheses=[known[0] for known in text.references])
    failures = [float(scorer.score(side).value) for side in _failed(perfect)]
    return MetricRange(
        perfect=float(scorer.score(perfect).value),
        failed=min(failures, key=lambda value: merit(value, scorer.spec.goal)),
    )
