"""The rule for losses of quality: non-inferiority on the same sentences, and how many sentences would settle a doubt.

Owns the verdict on a loss with its reason in words. The interval itself is measured by
`lingolite_cli.evaluation.comparison`.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from lingolite_cli.budgets.verdicts import Verdict, VerdictStatus
from lingolite_cli.evaluation.differences import Loss, MetricDifference
from lingolite_cli.evaluation.intervals import spelled

POWER = 0.8
"""Share of test sets of the advised size that settle an inconclusive verdict, if the true loss is the one seen."""

_MANY_TIMES = 100.0
"""Beyond this many times the test set, a count of sentences is no longer advice."""


def judge_loss(budget: str, difference: MetricDifference, limit: float) -> Verdict:
    """Has the candidate lost at most `limit`?

    It passes only when the whole interval of the loss lies at or below the limit, even if one more sentence were lost.
    It fails when the whole interval lies above it. What lies between is inconclusive. A difference without an interval
    is judged on its point estimate, and says so.

    Args:
        budget: its name, such as `bleu_drop_max`.
        difference: candidate minus reference.
        limit: the largest loss allowed, in points of the metric.
    """
    loss = difference.loss
    if not all(math.isfinite(value) for value in (loss.estimate, loss.low, loss.upper)):
        why = f"the difference in {difference.metric} is not a number"
        return Verdict(budget=budget, limit=limit, seen=None, status="not measured", why=why)
    status, relation = _place(loss, limit)
    why = f"{_describe(difference)}, {relation}"
    if status == "inconclusive":
        why += f"; {_what_would_settle(loss, limit, difference)}"
    elif difference.low is None:
        why += "; judged on the point estimate, as the metric gives no interval"
    elif loss.low == loss.high and difference.num_sentences is not None:
        why += f"; {_what_may_hide(difference.num_sentences)}"
    has_interval = difference.low is not None
    return Verdict(
        budget=budget,
        limit=limit,
        seen=loss.estimate,
        status=status,
        why=why,
        low=loss.low if has_interval else None,
        high=loss.high if has_interval else None,
    )


def _place(loss: Loss, limit: float) -> tuple[VerdictStatus, str]:
    """The verdict on a loss, and where it lies, in words."""
    # A bootstrap interval only knows failures that the test set has; the guarded end assumes one that it lacks.
    if loss.upper <= limit:
        guarded = f", even if one more sentence were lost (up to {loss.upper:.2f})" if loss.upper > loss.high else ""
        return "pass", f"at or below the limit of {limit:g}{guarded}"
    if loss.low > limit:
        return "fail", f"above the limit of {limit:g}"
    if loss.high > limit:
        return "inconclusive", f"partly above the limit of {limit:g}"
    return (
        "inconclusive",
        f"within the limit of {limit:g}, but up to {loss.guarded_high:.2f} if one more sentence were lost",
    )


def _describe(difference: MetricDifference) -> str:
    change = difference.delta
    verb = "is unchanged" if change == 0 else f"{'fell' if change < 0 else 'rose'} by {abs(change):.2f}"
    text = f"{difference.metric} {verb}"
    if difference.low is None:
        return text
    loss = difference.loss
    return f"{text} (loss {spelled(loss.low, loss.high, '{:.2f}'.format)} at {difference.confidence:.0%} confidence)"


def _what_may_hide(num_sentences: int) -> str:
    """What a test set without any difference leaves open: the exact bound of Clopper and Pearson at no failure in N."""
    share = 1.0 - 0.05 ** (1.0 / num_sentences)
    return f"no difference was seen, and failures in up to {share:.1%} of sentences may hide from {num_sentences:,}"


def settling_factor(loss: Loss, limit: float, *, confidence: float) -> float:
    """How many times as many sentences settle an inconclusive verdict in `POWER` of all test sets.

    It assumes that the true loss is the one seen. With f times the sentences the interval's half-width h shrinks to
    h / sqrt(f), and what the guard adds, g, which is due to one sentence, to g / f. The estimate of another test set
    varies as well, with the standard error h / z. So the distance d from the loss to the limit must be
    (1 + z_power / z) · (h / sqrt(f) + g / f), a quadratic equation in 1 / sqrt(f).

    Args:
        loss: as seen; not the limit itself.
        limit: of the budget.
        confidence: of the interval.
    """
    distance = abs(limit - loss.estimate)
    is_within = loss.estimate < limit
    quantile = NormalDist().inv_cdf
    allowance = 1.0 + quantile(POWER) / quantile((1.0 + confidence) / 2.0)
    reach = allowance * (loss.high - loss.estimate if is_within else loss.estimate - loss.low)
    guard = allowance * (loss.upper - loss.high) if is_within else 0.0
    return ((reach + math.sqrt(reach**2 + 4.0 * guard * distance)) / (2.0 * distance)) ** 2


def _what_would_settle(loss: Loss, limit: float, difference: MetricDifference) -> str:
    """Advice on the size of the test set."""
    if loss.estimate == limit:
        return "the loss seen equals the limit, and no number of sentences would settle it"
    factor = settling_factor(loss, limit, confidence=difference.confidence)
    size = _test_set_size(factor, difference.num_sentences)
    if loss.estimate < limit:
        return f"{size} would settle it, if the true loss is the one seen"
    return f"the loss seen breaks the budget, and {size} would show that, if it is the true loss"


def _test_set_size(factor: float, num_sentences: int | None) -> str:
    if factor > _MANY_TIMES:
        return f"more than {_MANY_TIMES:.0f} times as many sentences"
    if num_sentences is None:
        return f"about {factor:.1f} times as many sentences"
    needed = round(factor * num_sentences)
    step = 10 ** max(len(str(needed)) - 2, 0)  # two significant digits: it is an estimate
    return f"about {round(needed / step) * step:,} sentences"
