"""The verdict on a budget, as a record. How it comes about is `lingolite_cli.budgets.judging`."""

from __future__ import annotations

from typing import Literal

import msgspec

VerdictStatus = Literal["pass", "fail", "inconclusive", "not measured"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One budget judged.

    Attributes:
        budget: its name.
        limit: as the recipe has it.
        seen: what was measured, in the unit of `limit`.
        status: the verdict.
        why: one line for people.
        allowed: the recipe lets this verdict stand although it is no pass.
        low: the lower end of the 95 % interval of `seen`, where there is one.
        high: its upper end.
        rounds: how often it was measured, where that is more than once.
    """

    budget: str
    limit: float
    seen: float | None
    status: VerdictStatus
    why: str
    allowed: bool = False
    low: float | None = None
    high: float | None = None
    rounds: int | None = None

    @property
    def breaks_run(self) -> bool:
        """Whether this verdict fails the run."""
        return self.status != "pass" and not self.allowed
