"""Whether a metric can measure a text at all: the one place that decides it, for every verdict, score and comparison.

Owns the rule and its words. The scores that it reads are measured by `lingolite_cli.evaluation.failures`.
"""

from __future__ import annotations

import math

from lingolite_cli.evaluation.differences import MetricDifference, MetricRange
from lingolite_cli.plugins.specs import Goal, merit

_SAME = 1e-9
"""Points of a metric: scores that are closer than this are equal, and only summed in another order."""


def why_unmeasurable(range: MetricRange | None, goal: Goal) -> str | None:
    """Why the metric says nothing about translations of a text, in words; None where it does, or where that is unknown.

    A metric that scores the references themselves no better than text without a right character cannot tell systems
    apart: BLEU of sentences without four tokens is 0 whatever the translation, and so is chrF of empty references.

    Args:
        range: what the metric gives perfect and failed translations of the text.
        goal: the metric's.
    """
    if range is None:
        return None
    if not (math.isfinite(range.perfect) and math.isfinite(range.failed)):
        return "these texts cannot measure it: its score of a perfect translation is not a number"
    if merit(range.perfect, goal) > merit(range.failed, goal) + _SAME:
        return None
    return (
        f"these texts cannot measure it: a perfect translation scores {range.perfect:.2f}, and one without a right "
        f"character {range.failed:.2f} (they may be too short for the metric, or empty)"
    )


def why_no_loss(difference: MetricDifference) -> str | None:
    """Why no loss by the metric can be measured, in words; None where it can.

    A reference that scores no better than text without a right character has nothing to lose.
    """
    unmeasurable = why_unmeasurable(difference.range, difference.goal)
    if unmeasurable is not None or difference.range is None:
        return unmeasurable
    failed = difference.range.failed
    if merit(difference.reference, difference.goal) > merit(failed, difference.goal) + _SAME:
        return None
    return (
        f"the reference has nothing to lose: it scores {difference.reference:.2f}, and text without a right character "
        f"{failed:.2f}"
    )
