"""The weights of a bundle as numpy arrays: float32, float16, bfloat16, int8 with a scale for each row, or
4- and 8-bit integers by groups.

Owns reading `model.safetensors` and refusing what the ONNX graphs cannot carry. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import ml_dtypes  # also teaches numpy the dtype bfloat16, which safetensors asks for by name
import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from lingolite_cli.architecture.architecture import ModelConfig
from lingolite_cli.architecture.tensors import WEIGHT_SUFFIX, layer_names, tensor_shapes, tied_layers
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.groups import GroupedMatrix, is_grouped, read_grouped
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX

_SCALE = "_scale"
_FLOATS = (np.dtype(np.float32), np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
_KINDS = (*_FLOATS, np.dtype(np.int8))


class InputRange(msgspec.Struct, frozen=True):
    """What a matrix meets was quantized with these: float32 `scale` and uint8 `zero_point`."""

    scale: np.float32
    zero_point: np.uint8


class Matrix(msgspec.Struct, frozen=True):
    """A weight matrix.

    Attributes:
        values: [out, in] float32, float16, bfloat16 or int8.
        scale: [out] float32 when `values` are int8: row `i` stands for `values[i] * scale[i]`. None otherwise.
        input_range: of an int8 matrix whose input has a calibrated range; None where it is quantized as it comes.
    """

    values: Array
    scale: Array | None = None
    input_range: InputRange | None = None

    @property
    def is_int8(self) -> bool:
        """Whether products with it are integer products."""
        return self.scale is not None


def can_join(matrices: tuple[Matrix | GroupedMatrix, ...]) -> bool:
    """Whether matrices are stored in the same way, so that `concatenate` takes them."""
    return len({_layout(matrix) for matrix in matrices}) == 1


def concatenate(matrices: tuple[Matrix | GroupedMatrix, ...]) -> Matrix | GroupedMatrix:
    """Matrices as one, along their outputs; rows, and so integers and scales, stay as they are."""
    plain = [matrix for matrix in matrices if isinstance(matrix, Matrix)]
    if plain:
        values, scale = (_joined([getattr(matrix, name) for matrix in plain]) for name in ("values", "scale"))
        return Matrix(values, scale, plain[0].input_range)
    grouped = [matrix for matrix in matrices if isinstance(matrix, GroupedMatrix)]
    packed, scale, zero_point = (
        _joined([getattr(matrix, name) for matrix in grouped]) for name in ("packed", "scale", "zero_point")
    )
    return GroupedMatrix(bits=grouped[0].bits, packed=packed, scale=scale, zero_point=zero_point)


def _joined(arrays: list[Array | None]) -> Any:
    """None if the parts are None: `can_join` says that then all are."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None


def _layout(matrix: Matrix | GroupedMatrix) -> tuple[object, ...]:
    if isinstance(matrix, Matrix):
        return (matrix.values.dtype, matrix.input_range)
    return (matrix.bits, matrix.group_size, matrix.zero_point is None)


class Weights:
    """The tensors of a model by their checkpoint names.

    Args:
        config: the shape of the model.
        tensors: arrays by name, as stored in a bundle.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, Array]) -> None:
        self.config = config
        self._tensors = tensors
        self._tied = tied_layers(config)
        self._shapes = tensor_shapes(config)

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
        return any(tensor.dtype == np.int8 for tensor in self._tensors.values())

    @property
    def activations(self) -> Literal["float32", "by row", "calibrated"]:
        """How activations meet int8 matrices."""
        if any(name.endswith(INPUT_SCALE_SUFFIX) for name in self._tensors):
            return "calibrated"
        return "by row" if self.has_int8 else "float32"

    @property
    def has_groups(self) -> bool:
        """Whether any matrix is stored by groups, for ONNX Runtime's own operators."""
        return any(is_grouped(self._tensors, name) for name in self._tensors)

    @property
    def kind(self) -> Literal["float32", "float16", "bfloat16", "int8", "int4"]:
        """The smallest dtype that matrices are stored in."""
        if self.has_groups:
            return "int4"
        if self.has_int8:
            return "int8"
        dtype = self._tensor(self._key(layer_names(self.config).decoder.projection)).dtype
        if dtype == np.float32:
            return "float32"
        return "float16" if dtype == np.float16 else "bfloat16"

    def matrix(self, name: str) -> Matrix | GroupedMatrix:
        """The matrix of the layer `name`, whichever layer it is stored for.

        Raises:
            LingoLiteError: it is missing, or of a dtype or scale that the graphs cannot carry.
        """
        key = self._key(name)
        if is_grouped(self._tensors, key):
            return read_grouped(self._tensors, key, columns=self._shapes[key][1])
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
        return Matrix(values, scale[:, 0].astype(np.float32), self._input_range(name))

    def _input_range(self, name: str) -> InputRange | None:
        """The calibrated range of what the linear layer `name` reads, if there is one."""
        scale = self._tensors.get(name + INPUT_SCALE_SUFFIX)
        if scale is None:
            return None
        zero_point = self._tensor(name + INPUT_ZERO_POINT_SUFFIX)
        if scale.shape != (1,) or zero_point.shape != (1,) or zero_point.dtype != np.uint8:
            raise LingoLiteError(
                f"the input range of {name} is {scale.dtype} {list(scale.shape)} with {zero_point.dtype} "
                f"{list(zero_point.shape)}",
                hint="the ONNX graphs carry one scale and one uint8 zero point a tensor; quantize again",
            )
        return InputRange(np.float32(scale[0]), np.uint8(zero_point[0]))

    def norm(self, name: str) -> Array:
        """[d_model] float32 gains of the RMSNorm `name`."""
        return self._tensor(self._key(name)).astype(np.float32)

    def _key(self, name: str) -> str:
        """The tensor of the layer `name`."""
        return self._tied.get(name, name) + WEIGHT_SUFFIX

    def _tensor(self, key: str) -> Array:
        try:
            return self._tensors[key]
        except KeyError:
            raise LingoLiteError(
                f"the bundle has no tensor {key}", hint="its manifest and its weights are of different models"
            ) from None
