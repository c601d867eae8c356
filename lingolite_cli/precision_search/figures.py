"""What a search for mixed precision found, as records: cheap to import, for run records and reports."""

from __future__ import annotations

import msgspec

from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.evaluation.differences import MetricDifference


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Sensitivity(_Struct, frozen=True, kw_only=True):
    """The loss and the saving of one unit in a lower precision, all others lossless.

    Attributes:
        unit: name of the unit: a layer, a block or a matrix.
        precision: the unit's; all others lose nothing.
        num_weights: elements of the unit's matrices.
        saved_bytes: how much smaller the artifact is.
        cross_entropy_delta: nats a reference token, on the sample.
        difference: of the budget's metric on the sample; measured at the lowest precision only.
    """

    unit: str
    precision: str
    num_weights: int
    saved_bytes: int
    cross_entropy_delta: float
    difference: MetricDifference | None = None


class Trial(_Struct, frozen=True, kw_only=True):
    """A mix of precisions as a whole, measured on all sentences.

    Attributes:
        name: `uniform int8`, or `mix 3` in the order of the trials.
        higher_is_better: which way the metric counts.
        default: precision of what `layers` does not name.
        layers: from patterns to precisions.
        size_bytes: the artifact's, tokenizer included.
        cross_entropy_delta: nats a reference token, on the sample.
        difference: of the budget's metric, against the model as it was.
        verdict: on the budget.
    """

    name: str
    higher_is_better: bool
    default: str
    layers: dict[str, str]
    size_bytes: int
    cross_entropy_delta: float
    difference: MetricDifference
    verdict: Verdict

    @property
    def is_uniform(self) -> bool:
        """Whether all units have the same precision."""
        return not self.layers

    @property
    def fits(self) -> bool:
        """Whether it meets the budget; by its estimate alone where inconclusive verdicts are allowed."""
        verdict = self.verdict
        if verdict.status == "inconclusive" and verdict.allowed:
            return verdict.seen is not None and verdict.seen <= verdict.limit
        return verdict.status == "pass"
