"""Weights stored in a narrower float dtype, rounded half to even; models compute with them in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lingolite_cli.errors import LingoLiteError


def narrow(name: str, tensor: npt.NDArray[Any], dtype: npt.DTypeLike, *, hint: str) -> npt.NDArray[Any]:
    """`tensor` as `dtype`.

    Args:
        name: what errors call it.
        tensor: float32.
        dtype: the float dtype to round to.
        hint: what to do about a tensor that does not fit.

    Raises:
        LingoLiteError: an element is infinite, not a number, or too large for `dtype`.
    """
    if not np.isfinite(tensor).all():
        raise LingoLiteError(
            f"a weight of `{name}` is infinite or not a number",
            hint="the checkpoint is damaged or its training diverged; take an earlier one",
        )
    # Overflow is found by its result, with a name and a hint, in the place of numpy's warning.
    with np.errstate(over="ignore"):
        narrowed = tensor.astype(dtype)
    if not np.isfinite(narrowed).all():
        largest = float(np.abs(tensor).max())
        raise LingoLiteError(
            f"`{name}` does not fit into {np.dtype(dtype).name}: its largest magnitude is {largest:g}", hint=hint
        )
    return narrowed
