"""Values of named operations in a file, held against the independent reference: which operation differs, and how.

Owns the comparison. The reference computes each operation from the file's own values before it, so that differences
neither add up nor spread: an operation differs where it is wrong itself. B batch, S source, T target, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.architecture.recording import Operation, record
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.evaluation.exported import OperationDifference

if TYPE_CHECKING:
    import numpy.typing as npt

    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.arrays import Array
    from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
    from lingolite_cli.weights.bundle import Weights

    DoubleArray = npt.NDArray[np.float64]

_FLOOR = 0.01
"""Columns and tokens smaller than this share of all values are measured as if they were so large: their own size may be
no more than what rounding leaves of larger numbers."""

_FACTOR_RESIDUAL = 0.05
"""A factor explains a difference when so little of the values is left."""

_LISTED = 6

INCOMPARABLE = 1e9
"""Stands for the difference of values that are not finite or have another shape: a record holds no infinite number."""


class OperationReading(msgspec.Struct, frozen=True):
    """One operation compared: the difference in its worst column or token as a share of its values, and what differs
    where that is beyond rounding."""

    name: str
    relative: float
    difference: OperationDifference | None


def compare_operations(
    weights: Weights, arithmetic: Arithmetic, tokens: ForcedTokens, trace: Trace
) -> list[OperationReading]:
    """Every operation that the trace shows, in the order of computation.

    Args:
        weights: of the bundle that the file was exported from.
        arithmetic: of the engine.
        tokens: what the trace was made on.
        trace: what the file gave.
    """
    observer = _Observer(record(weights.config).operations, arithmetic.rounding, tokens, trace)
    reference = Reference.of(weights, arithmetic, unrounded=trace.unrounded, observer=observer)
    encoded = reference.encode(tokens.source_ids, tokens.source_mask)
    reference.decode(tokens.target_ids, encoded, tokens.source_mask)
    return observer.readings


def compare_embeddings(
    weights: Weights, arithmetic: Arithmetic, tokens: ForcedTokens, trace: Trace
) -> list[OperationReading]:
    """The same for the embeddings alone, which a trace of nothing else may show for the whole vocabulary."""
    observer = _Observer(record(weights.config).operations, arithmetic.rounding, tokens, trace)
    reference = Reference.of(weights, arithmetic, observer=observer)
    reference.embed(tokens.source_ids, tokens.target_ids)
    return observer.readings


class _Observer:
    """Compares each operation that the reference computes, and lets it go on with the file's values."""

    def __init__(self, known: Mapping[str, Operation], rounding: float, tokens: ForcedTokens, trace: Trace) -> None:
        self._operations = known
        self.readings: list[OperationReading] = []
        self._rounding = rounding
        self._tokens = tokens
        self._trace = trace
        self._unseen: list[str] = []
        self._added_to = {operation.adds_to for operation in known.values()}
        self._residuals: dict[str, Array] = {}

    def __call__(self, name: str, expected: Array) -> Array:
        operation = self._operations[name]
        values = self._trace.values.get(name)
        if values is None:
            self._unseen.append(name)
            known = expected
        else:
            self._read(operation, expected, values, base=self._base(operation))
            self._unseen.clear()
            known = self._usable(operation, expected, values)
        if name in self._added_to:
            self._residuals[name] = known
        return known

    def _base(self, operation: Operation) -> Array | None:
        """What a block's outcome is added to, of a residual sum. Nothing else is added to it."""
        return None if operation.adds_to is None else self._residuals.pop(operation.adds_to, None)

    def _usable(self, operation: Operation, expected: Array, values: Array) -> Array:
        """The file's values, where they can be gone on with. What stands at padding is nobody's business."""
        if values.shape != expected.shape:
            return expected
        is_usable = self._is_real(operation)[..., None] & np.isfinite(values)
        return values if is_usable.all() else np.where(is_usable, values, expected)

    def _is_real(self, operation: Operation) -> Array:
        """[B, S] or [B, T] bool: tokens whose values count."""
        if operation.reads_source:
            return self._tokens.source_mask
        return np.ones(self._tokens.target_ids.shape, np.bool_)

    def _read(self, operation: Operation, expected: Array, values: Array, *, base: Array | None) -> None:
        if values.shape != expected.shape:
            how = f"has the shape {list(values.shape)}, not {list(expected.shape)}"
            self._add(operation, INCOMPARABLE, INCOMPARABLE, rows="all", positions="all", how=how)
            return
        is_real = self._is_real(operation)
        seen, right = _real_rows(values, is_real), _real_rows(expected, is_real)
        if not np.isfinite(seen).all():
            self._add(operation, INCOMPARABLE, INCOMPARABLE, rows="all", positions="all", how="is not finite")
            return
        # A sum is measured by what the block adds, which may be small beside what it is added to.
        added_to = None if base is None else _real_rows(base, is_real)
        size = right if added_to is None else np.subtract(right, added_to, dtype=np.float64)
        columns, rows = _relative(seen, right, size)
        relative = float(max(columns.max(initial=0), rows.max(initial=0)))
        if relative <= self._rounding:
            self.readings.append(OperationReading(operation.name, relative, None))
            return
        # Where an operation is wrong everywhere, the smallest differences are no exception: they count from a tenth on.
        limit = max(self._rounding, 0.1 * relative)
        positions = np.nonzero(is_real)[1][rows > limit]
        wrong = np.flatnonzero(columns > limit)
        change = seen if added_to is None else np.subtract(seen, added_to, dtype=np.float64)
        self._add(
            operation,
            relative,
            float(np.abs(np.subtract(seen, right, dtype=np.float64)).max()),
            rows=_ids(operation, self._tokens, is_real, rows, limit) or _ranges(wrong, len(columns)),
            positions="all" if operation.is_embedding else _ranges(np.unique(positions), is_real.shape[1]),
            how=_how(change[:, wrong].astype(np.float64), size[:, wrong].astype(np.float64)),
        )

    def _add(
        self, operation: Operation, relative: float, largest: float, *, rows: str, positions: str, how: str
    ) -> None:
        difference = OperationDifference(
            operation=operation.name,
            what=operation.words,
            part=self._trace.part,
            relative=relative,
            times=relative / self._rounding,
            largest=largest,
            rows=rows,
            positions=positions,
            how=how,
            unseen=tuple(self._unseen),
        )
        self.readings.append(OperationReading(operation.name, relative, difference))


def _real_rows(array: Array, is_real: Array) -> Array:
    """[rows, width] of the tokens that count."""
    return array.reshape(-1, array.shape[-1]) if is_real.all() else array[is_real]


def _relative(seen: Array, right: Array, size: Array) -> tuple[DoubleArray, DoubleArray]:
    """Root mean square of the distance of `seen` from `right`, as a share of that of `size`: by column, and by row.

    Squares are float64. Of logits of a large vocabulary they are the largest arrays by far, so that only one is held.
    """
    squares = np.square(size, dtype=np.float64)
    floor = np.maximum(_FLOOR * np.sqrt(np.mean(squares)), 1e-30)
    sizes = [np.maximum(np.sqrt(np.mean(squares, axis=axis)), floor) for axis in (0, 1)]
    np.subtract(seen, right, dtype=np.float64, out=squares)
    np.square(squares, out=squares)
    columns, rows = (np.sqrt(np.mean(squares, axis=axis)) / sizes[axis] for axis in (0, 1))
    return columns, rows


def _ids(operation: Operation, tokens: ForcedTokens, is_real: Array, rows: DoubleArray, limit: float) -> str:
    """The tokens whose embedding differs, for an embedding; empty for other operations."""
    if not operation.is_embedding:
        return ""
    ids = (tokens.source_ids if operation.reads_source else tokens.target_ids)[is_real]
    wrong = np.unique(ids[rows > limit])
    return _ranges(wrong, len(np.unique(ids)))


def _ranges(numbers: Array, total: int) -> str:
    """Sorted numbers as ranges, "all" where there are as many as there can be."""
    if len(numbers) == total:
        return "all"
    if not len(numbers):
        return "none by itself"
    breaks = np.flatnonzero(np.diff(numbers) > 1) + 1
    parts = [f"{part[0]}" if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in np.split(numbers, breaks)]
    if len(parts) > _LISTED:
        return f"{', '.join(parts[:_LISTED])} and others, {len(numbers):,} of {total:,}"
    return ", ".join(parts)


def _how(seen: DoubleArray, right: DoubleArray) -> str:
    """A factor that makes one of the other, if there is one."""
    if not seen.size:
        return ""
    square = float(np.vdot(right, right))
    if not square:
        return ""
    factor = float(np.vdot(seen, right)) / square
    left = float(np.linalg.norm(seen - factor * right)) / max(float(np.linalg.norm(seen)), 1e-30)
    if not np.any(seen):
        return "is zero"
    if left > _FACTOR_RESIDUAL or abs(factor - 1) < _FACTOR_RESIDUAL:
        return ""
    if abs(factor + 1) < _FACTOR_RESIDUAL:
        return "has its sign turned"
    return f"is {factor:.3g} times what it should be"
