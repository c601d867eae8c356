"""The weights of a bundle as CTranslate2 stores them.

Owns reading `model.safetensors` and refusing what CTranslate2 cannot carry. Imports neither torch nor CTranslate2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import ml_dtypes  # also teaches numpy the dtype bfloat16, which safetensors asks for by name
import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.rows import SCALE_SUFFIX

Array: TypeAlias = npt.NDArray[Any]
Kind: TypeAlias = Literal["float32", "float16", "bfloat16", "int8"]

_KINDS: dict[Any, Kind] = {
    np.dtype(np.float32): "float32",
    np.dtype(np.float16): "float16",
    np.dtype(ml_dtypes.bfloat16): "bfloat16",
    np.dtype(np.int8): "int8",
}


class Matrix(msgspec.Struct, frozen=True):
    """A weight matrix.

    Attributes:
        values: [out, in] float32, float16, bfloat16 or int8.
        inverse_scale: [out] float32 when `values` are int8: row `i` stands for `values[i] / inverse_scale[i]`, which is
            CTranslate2's convention. None otherwise.
    """

    values: Array
    inverse_scale: Array | None = None


class Weights:
    """The tensors of a model by their checkpoint names, all matrices of one kind.

    Args:
        tensors: arrays by name, as stored in a bundle.

    Attributes:
        kind: what all matrices are stored in.

    Raises:
        LingoLiteError: they hold what CTranslate2 has no place for.
    """

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors
        self.kind = _kind(tensors)

    @classmethod
    def read(cls, bundle: Artifact) -> Weights:
        """Read a bundle.

        Raises:
            LingoLiteError: the weights are not a safetensors file, or cannot be carried.
        """
        try:
            tensors = safetensors.numpy.load_file(bundle.weights_path)
        except (OSError, safetensors.SafetensorError, KeyError) as error:
            raise LingoLiteError(
                f"cannot read {bundle.weights_path}: {error}", hint="make or copy the bundle again"
            ) from None
        return cls(tensors)

    def matrix(self, *names: str) -> Matrix:
        """The matrices `NAME.weight` as one, along their outputs; integers and scales stay as they are."""
        keys = [f"{name}.weight" for name in names]
        values = np.concatenate([self._tensor(key) for key in keys])
        if self.kind != "int8":
            return Matrix(values)
        scale = np.concatenate([self._scale(key) for key in keys])
        return Matrix(values, np.float32(1) / scale)

    def norm(self, name: str) -> Array:
        """[d_model] gains of the RMSNorm `NAME`."""
        gains = self._tensor(f"{name}.weight")
        return gains if gains.dtype in _KINDS else gains.astype(np.float32)

    def _scale(self, key: str) -> Array:
        scale = self._tensor(key + SCALE_SUFFIX)
        rows = len(self._tensor(key))
        if scale.shape != (rows, 1):
            raise LingoLiteError(
                f"{key}{SCALE_SUFFIX} has shape {list(scale.shape)}, not [{rows}, 1]",
                hint="CTranslate2 carries one scale a row; quantize with the method `dynamic-int8`",
            )
        return scale[:, 0].astype(np.float32)

    def _tensor(self, key: str) -> Array:
        try:
            return self._tensors[key]
        except KeyError:
            raise LingoLiteError(
                f"the bundle has no tensor {key}", hint="its manifest and its weights are of different models"
            ) from None


def _kind(tensors: Mapping[str, Array]) -> Kind:
    """What all matrices are stored in.

    CTranslate2 computes all matrices of a model in one type, and would quantize a matrix that was kept in float.
    """
    found: dict[Any, str] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and not name.endswith(SCALE_SUFFIX):
            found.setdefault(tensor.dtype, name)
    unknown = [f"{name} is {dtype}" for dtype, name in found.items() if dtype not in _KINDS]
    if unknown:
        raise LingoLiteError(unknown[0], hint="float32, float16, bfloat16 and int8 can be exported")
    if len(found) != 1:
        kinds = " and ".join(f"{name} in {dtype}" for dtype, name in found.items())
        raise LingoLiteError(
            f"the bundle has matrices of different types, {kinds}, and CTranslate2 computes all of them in one",
            hint="quantize all matrices, or none",
        )
    return _KINDS[next(iter(found))]
