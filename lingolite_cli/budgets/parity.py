"""The names of budgets on parity, and which figure each one limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from lingolite_cli.budgets.verdicts import Verdict, judge_max, judge_min
from lingolite_cli.evaluation.parity import Parity


class ParityBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget on parity.

    Attributes:
        figure: what it limits; None where that was not measured.
        needs: whose logits it needs: nobody's, the candidate's, or both systems'.
        is_floor: whether more is better.
        unit: of the limit.
    """

    figure: Callable[[Parity], float | None]
    needs: Literal["tokens", "candidate", "both"]
    is_floor: bool = False
    unit: str = ""


def _logits(name: str) -> Callable[[Parity], float | None]:
    return lambda parity: None if parity.logits is None else getattr(parity.logits, name)


def _probed(*names: str) -> Callable[[Parity], float | None]:
    """The largest difference of a logit in the probes of these names."""

    def largest(parity: Parity) -> float | None:
        found = [probe.max_difference for probe in parity.probes if probe.name in names]
        return max(found) if found else None

    return largest


PARITY_BUDGETS = {
    "parity_min": ParityBudget(figure=lambda parity: parity.top1_agreement, needs="candidate", is_floor=True),
    "exact_match_min": ParityBudget(figure=lambda parity: parity.exact_match, needs="tokens", is_floor=True),
    "logit_difference_max": ParityBudget(figure=_logits("max_difference"), needs="both"),
    "logit_difference_mean_max": ParityBudget(figure=_logits("mean_difference"), needs="both"),
    "kl_mean_max": ParityBudget(figure=_logits("kl_mean"), needs="both", unit="nats"),
    "kl_p95_max": ParityBudget(figure=_logits("kl_p95"), needs="both", unit="nats"),
    "token_kl_max": ParityBudget(
        figure=lambda parity: parity.vocabulary.kl_max if parity.vocabulary else None, needs="both", unit="nats"
    ),
    "padding_difference_max": ParityBudget(figure=_probed("padding"), needs="candidate"),
    "select_difference_max": ParityBudget(figure=_probed("reorder", "rows"), needs="candidate"),
}
"""By name."""


def judge_parity(name: str, parity: Parity | None, limit: float) -> Verdict:
    """The verdict of one budget; one that fails names the likely causes.

    Args:
        name: a key of `PARITY_BUDGETS`.
        parity: what was measured, if anything.
        limit: the budget's.
    """
    budget = PARITY_BUDGETS[name]
    value = budget.figure(parity) if parity else None
    judge = judge_min if budget.is_floor else judge_max
    verdict = judge(value, limit=limit, budget=name, unit=budget.unit)
    if verdict.status == "pass" or not parity or not parity.causes:
        return verdict
    causes = ", ".join(cause.name for cause in parity.causes)
    return msgspec.structs.replace(verdict, why=f"{verdict.why}; likely cause: {causes}")
