"""The integers of quantized weights: decided here, once, and carried unchanged by every backend and exporter.

Symmetric, one scale a row (output channel), range -127…127. Owns no file and imports numpy only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from lingolite_cli.errors import LingoLiteError

INT8_MAX = 127
SCALE_SUFFIX = "_scale"  # `X.weight` goes with `X.weight_scale`


def quantize_rows(
    weight: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Round each row of a matrix to multiples of `max|row| / 127`, half to even.

    Args:
        weight: [out, in] float32, finite.

    Returns:
        integers [out, in] int8 in -127…127, and scales [out, 1] float32; 1.0 for a row of zeros.
        `integers * scales` is within half a scale of `weight`.

    Raises:
        LingoLiteError: a weight is infinite or not a number.
    """
    if not np.isfinite(weight).all():
        raise LingoLiteError(
            f"a weight of a matrix of shape {list(weight.shape)} is infinite or not a number",
            hint="the checkpoint is damaged or its training diverged; take an earlier one",
        )
    scale = np.abs(weight).max(axis=1, keepdims=True) / np.float32(INT8_MAX)
    # A row of zeros is zeros at any scale, and 0 would make it NaN.
    scale[scale == 0] = 1.0
    # By the quotient, as exporters and PyTorch do: a product with 127 / max rounds some ties the other way.
    # Never -128: then every integer has its negative, and no product of two is larger than 127².
    integers = np.rint(weight / scale).clip(-INT8_MAX, INT8_MAX)
    return integers.astype(np.int8), scale


def quantize_tensors(
    tensors: Mapping[str, npt.NDArray[np.float32]], matrices: Collection[str]
) -> dict[str, npt.NDArray[np.int8] | npt.NDArray[np.float32]]:
    """The tensors of an int8 bundle: each matrix as integers and scales, all else as it is.

    Args:
        tensors: the tensors of a float bundle, float32.
        matrices: names of those that are quantized; see `lingolite_cli.architecture.tensors.matrix_keys`.

    Raises:
        LingoLiteError: naming the tensor with a weight that is infinite or not a number.
    """
    quantized: dict[str, npt.NDArray[np.int8] | npt.NDArray[np.float32]] = {}
    for name, tensor in tensors.items():
        if name not in matrices:
            quantized[name] = tensor
            continue
        try:
            quantized[name], quantized[name + SCALE_SUFFIX] = quantize_rows(tensor)
        except LingoLiteError as error:
            raise LingoLiteError(f"cannot quantize `{name}`: {error.message}", hint=error.hint) from None
    return quantized
