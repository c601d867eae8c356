"""A difference in quality between two systems on the same sentences, as a record.

Owns what a difference and a loss are; cheap to import, for run records and reports. How a difference is measured is
`lingolite_cli.evaluation.comparison`, and what budgets make of it is `lingolite_cli.budgets`.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.plugins.specs import Goal, merit


class Loss(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much worse the candidate is, in points of the metric: positive is worse, whichever way the metric counts.

    `low` and `high` are the ends of the interval; `guarded_high` is its upper end with one sentence more in the test
    set, one that is lost or is as bad as the worst. All are the estimate where the metric gives no interval.
    """

    estimate: float
    low: float
    high: float
    guarded_high: float

    @property
    def upper(self) -> float:
        """The end of the interval that a limit must not be below."""
        return max(self.high, self.guarded_high)


class MetricRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a metric gives for translations of a text that are as right, and as wrong, as any: where they are the same,
    the text cannot measure the metric. `failed` is the worse of text without a right character and of no text."""

    perfect: float
    failed: float


class MetricDifference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Candidate minus reference on the same sentences, with a paired-bootstrap interval where there is one.

    `p_value` is that of approximate randomization: how often equal systems would show such a difference by chance.
    `num_sentences` is the size of the test set behind both. `goal` is the metric's, `range` what it gives for perfect
    and for failed translations of these sentences; None in records of older versions.
    """

    metric: str
    reference: float
    candidate: float
    delta: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    p_value: float | None = None
    num_sentences: int | None = None
    goal: Goal = "higher"
    range: MetricRange | None = None
    resampled_loss: Loss | None = None

    @property
    def loss(self) -> Loss:
        """How much worse the candidate is: as resampled, or else from the difference."""
        if self.resampled_loss is not None:
            return self.resampled_loss
        estimate = merit(self.reference, self.goal) - merit(self.candidate, self.goal)
        if self.low is None or self.high is None or isinstance(self.goal, float):
            return Loss(estimate=estimate, low=estimate, high=estimate, guarded_high=estimate)
        # 0.0 - x rather than -x: no difference must read 0, not -0.
        low, high = (0.0 - self.high, 0.0 - self.low) if self.goal == "higher" else (self.low, self.high)
        return Loss(estimate=estimate, low=low, high=high, guarded_high=high)


def p_value_text(p_value: float | None) -> str:
    """A p-value as tables have it; nothing where there is none."""
    if p_value is None:
        return ""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
