"""The weights of a bundle as numpy arrays: float32, float16, bfloat16, or int8 with a scale for each row.

Owns reading `model.safetensors` and refusing what the ONNX graphs cannot carry. Imports no torch.
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

from lingolite_cli.architecture import ModelConfig
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError

Array: TypeAlias = npt.NDArray[Any]

PROJECTION = "output_projection"
"""Name of the output projection, whichever matrix serves as such."""

_SCALE = "_scale"
_FLOATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_KINDS = (*_FLOATS, np.dtype(np.int8))


class Matrix(msgspec.Struct, frozen=True):
    """A weight matrix.

    Attributes:
        values: [out, in] float32, float16, bfloat16 or int8.
        scale: [out] float32 when `values` are int8: row `i` stands for `values[i] * scale[i]`. None otherwise.
    """

    values: Array
    scale: Array | None = None

    @property
    def is_int8(self) -> bool:
        """Whether products with it are integer products."""
        return self.scale is not None


def concatenate(matrices: tuple[Matrix, ...]) -> Matrix:
    """Matrices of one dtype as one, along their outputs; rows, and so integers and scales, stay as they are."""
    values = np.concatenate([matrix.values for matrix in matrices])
    scales = [matrix.scale for matrix in matrices if matrix.scale is not None]
    return Matrix(values, np.concatenate(scales) if scales else None)


class Weights:
    """The tensors of a model by their checkpoint names.

    Args:
        config: the shape of the model.
        tensors: arrays by name, as stored in a bundle.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, Array]) -> None:
        self.config = config
        self._tensors = tensors
        calibrated = [name for name in tensors if name.endswith(".input_scale")]
        if calibrated:
            raise LingoLiteError(
                f"the bundle has static activation ranges, such as {calibrated[0]}, which these graphs cannot carry",
                hint="quantize with the method `dynamic-int8`",
            )

    @classmethod
    def read(cls, bundle: Artifact) -> Weights:
        """Read a bundle.

        Raises:
            LingoLiteError: the weights are not a safetensors file.
        """
        try:
            tensors = safetensors.numpy.load_file(bundle.weights_path)
        except (OSError, safetensors.SafetensorError, KeyError) as error:
            raise LingoLiteError(
                f"cannot read {bundle.weights_path}: {error}", hint="make or copy the bundle again"
            ) from None
        return cls(bundle.manifest.model, tensors)

    @property
    def has_int8(self) -> bool:
        """Whether any matrix is int8."""
        return any(name.endswith(_SCALE) for name in self._tensors)

    @property
    def kind(self) -> Literal["float32", "float16", "bfloat16", "int8"]:
        """The smallest dtype that matrices are stored in."""
        if self.has_int8:
            return "int8"
        dtype = self.projection.values.dtype
        if dtype == np.float32:
            return "float32"
        return "float16" if dtype == np.float16 else "bfloat16"

    def matrix(self, name: str) -> Matrix:
        """The matrix `NAME.weight`.

        Raises:
            LingoLiteError: it is missing, or of a dtype or scale that the graphs cannot carry.
        """
        key = f"{name}.weight"
        values = self._tensor(key)
        scale = self._tensors.get(key + _SCALE)
        if values.dtype not in _KINDS or (values.dtype == np.int8) != (scale is not None):
            raise LingoLiteError(
                f"{key} is {values.dtype} {'with' if scale is not None else 'without'} a scale",
                hint="float32, float16, bfloat16, and int8 with one scale a row can be exported",
            )
        if scale is None:
            return Matrix(values)
        if scale.shape != (values.shape[0], 1):
            raise LingoLiteError(
                f"{key}{_SCALE} has shape {list(scale.shape)}, not [{values.shape[0]}, 1]",
                hint="the ONNX graphs carry one scale a row; quantize with the method `dynamic-int8`",
            )
        return Matrix(values, scale[:, 0].astype(np.float32))

    def norm(self, name: str) -> Array:
        """[d_model] float32 gains of the RMSNorm `NAME`."""
        return self._tensor(f"{name}.weight").astype(np.float32)

    def embedding(self, stack: str) -> Matrix:
        """The embedding [V, d_model] of `encoder` or `decoder`."""
        return self.matrix("encoder.embedding" if self.config.tie_embeddings else f"{stack}.embedding")

    @property
    def projection(self) -> Matrix:
        """The output projection [V, d_model]."""
        return self.matrix("encoder.embedding" if self.config.tie_embeddings else "decoder.lm_head")

    def _tensor(self, key: str) -> Array:
        try:
            return self._tensors[key]
        except KeyError:
            raise LingoLiteError(
                f"the bundle has no tensor {key}", hint="its manifest and its weights are of different models"
            ) from None
