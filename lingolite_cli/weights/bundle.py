"""The weights of a bundle: the one reader and the one writer of `model.safetensors`, and its matrices one by one.

Owns how a bundle's tensors come into memory and what may stand beside a matrix: a scale for each row of int8, scales
and zero points of groups, the calibrated range of an input. What the tensors are called is
`lingolite_cli.architecture.tensors`'s, how they were rounded `rows`'s and `groups`'s. Imports no torch.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import msgspec
import numpy as np
import safetensors

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import BIAS_SUFFIX, WEIGHT_SUFFIX, parts_of, tied_layers
from lingolite_cli.architecture.tensors import shared_inputs, tensor_shapes
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import WEIGHTS_NAME, Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.groups import ZERO_POINT_SUFFIX, GroupedMatrix, is_grouped, read_grouped
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX, require_usable_ranges
from lingolite_cli.weights.rows import SCALE_SUFFIX

_DTYPES: dict[str, np.dtype[Any]] = {
    name: np.dtype(dtype)
    for name, dtype in {
        "F64": np.float64,
        "F32": np.float32,
        "F16": np.float16,
        "BF16": ml_dtypes.bfloat16,
        "I64": np.int64,
        "I32": np.int32,
        "I16": np.int16,
        "I8": np.int8,
        "U8": np.uint8,
        "BOOL": np.bool_,
    }.items()
}
"""By the names of the safetensors format, https://github.com/huggingface/safetensors#format."""

_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_ORDER = {
    _DTYPES[name]: place
    for place, name in enumerate(("BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "F64", "I64"))
}
"""The order of types in the safetensors library."""

_MATRIX_DTYPES = tuple(_DTYPES[name] for name in ("F32", "F16", "BF16", "I8"))


def read_tensors(bundle: Artifact) -> dict[str, Array]:
    """The tensors of a bundle by name.

    They lie in the pages of the file, mapped privately: nothing is read before it is used, and what a caller writes
    into an array stays in this process. So weights that are only computed with take no memory of their own.

    Raises:
        LingoLiteError: the weights cannot be read, are not a safetensors file, or do not fit the manifest.
    """
    path = bundle.weights_path
    tensors = read_tensor_file(path)
    check_shapes({name: tensor.shape for name, tensor in tensors.items()}, _stored_shapes(bundle, tensors), where=path)
    return tensors


def read_tensor_file(path: Path) -> dict[str, Array]:
    """As `read_tensors`, for any file and whatever is in it.

    Raises:
        LingoLiteError: it cannot be read, or is not a safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="np"):
            pass  # it has held every offset and size against the file by now
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header: dict[str, Any] = json.loads(stream.read(length))
            # Copy on write: nobody changes the file through it, and PyTorch does not warn of read-only memory.
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        header.pop("__metadata__", None)
        return {
            name: np.ndarray(entry["shape"], _DTYPES[entry["dtype"]], content, 8 + length + entry["data_offsets"][0])
            for name, entry in header.items()
        }
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    except KeyError as error:
        raise _unreadable(path, f"a tensor has the dtype {error}") from None


def _stored_shapes(bundle: Artifact, tensors: Mapping[str, Array]) -> dict[str, tuple[int, ...] | None]:
    """What the manifest's configuration asks for; None where the shape is checked with the parts of a matrix.

    The header is held against it before anything is computed or allocated by a size that the manifest claims.
    """
    wanted: dict[str, tuple[int, ...] | None] = dict(tensor_shapes(bundle.manifest.model))
    for name in [name for name in wanted if name + SCALE_SUFFIX in tensors]:
        wanted[name + SCALE_SUFFIX] = wanted[name + ZERO_POINT_SUFFIX] = None
        if is_grouped(tensors, name):
            # Packed: `read_grouped` knows how wide, so that rows alone are compared here.
            wanted[name] = (tensor_shapes(bundle.manifest.model)[name][0], *tensors[name].shape[1:])
    beside = (INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX)
    wanted |= {name: None for name in tensors if name.endswith(beside)}
    return {name: shape for name, shape in wanted.items() if name in tensors or not name.endswith(ZERO_POINT_SUFFIX)}


def check_shapes(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...] | None], *, where: str | Path
) -> None:
    """Compare the shapes of tensors with those that a configuration asks for; None is any shape.

    Raises:
        LingoLiteError: naming what is missing, unexpected or mis-shaped.
    """
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    wrong = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in wanted.items()
        if shape is not None and name in found and tuple(found[name]) != shape
    ]
    problems = [
        f"{what}: {_some(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("mis-shaped", wrong))
        if names
    ]
    if problems:
        raise LingoLiteError(
            f"the tensors of {where} do not fit its configuration; {'; '.join(problems)}",
            hint="the configuration and the weights must come from the same model",
        )


def _some(names: list[str], most: int = 4) -> str:
    shown = ", ".join(name if len(name) <= 200 else name[:199] + "…" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _unreadable(path: Path, why: str) -> LingoLiteError:
    return LingoLiteError(f"cannot read the weights {path}: {why}", hint="make or copy the bundle again")


def write_tensors(tensors: Mapping[str, Array], directory: Path) -> None:
    """Write the weights of a bundle into `directory`; equal tensors give equal bytes, in whatever order they come."""
    # In the order of the safetensors library, wider types first, and tensor by tensor: its own writer would hold a copy
    # of all of them.
    order = sorted(tensors, key=lambda name: (-_ORDER[tensors[name].dtype], name))
    header, place = {}, 0
    for name in order:
        end = place + tensors[name].nbytes
        header[name] = {
            "dtype": _NAMES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with (directory / WEIGHTS_NAME).open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            # A view would be written with the strides of what it is a view of.
            stream.write(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)


def require_format(source: Artifact, accepts: Iterable[str]) -> None:
    """Refuse a bundle of a format that a quantizer does not take.

    Raises:
        LingoLiteError: naming the formats that it takes.
    """
    if source.manifest.format not in accepts:
        raise LingoLiteError(
            f"{source.path} has the format {source.manifest.format}, not {' or '.join(sorted(accepts))}",
            hint="quantize the bundle that it was made from",
        )


def dequantize_groups(config: Architecture, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors of a bundle with each matrix that is stored by groups as the float32 that it stands for.

    Raises:
        LingoLiteError: the parts of such a matrix do not fit one another or the configuration.
    """
    result = dict(tensors)
    for key, shape in tensor_shapes(config).items():
        if is_grouped(tensors, key):
            result[key] = read_grouped(tensors, key, columns=shape[1]).dequantized()
            del result[key + SCALE_SUFFIX]
            result.pop(key + ZERO_POINT_SUFFIX, None)
    return result


class Matrix(msgspec.Struct, frozen=True):
    """A weight matrix.

    Attributes:
        values: [out, in] float32, float16, bfloat16 or int8.
        scale: [out] float32 when `values` are int8: row `i` stands for `values[i] * scale[i]`. None otherwise.
        input_range: of an int8 matrix whose input has a calibrated range; None where its input is quantized by row.
    """

    values: Array
    scale: Array | None = None
    input_range: InputRange | None = None

    @property
    def rows(self) -> int:
        """Its outputs."""
        return len(self.values)

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
    """The weights of a model by the names of its layers (`lingolite_cli.architecture.parts`).

    Args:
        config: the architecture of the model.
        tensors: arrays by name, as stored in a bundle.
    """

    def __init__(self, config: Architecture, tensors: Mapping[str, Array]) -> None:
        self.config = config
        self._tensors = tensors
        self._tied = tied_layers(config)
        self._shapes = tensor_shapes(config)

    @classmethod
    def read(cls, bundle: Artifact) -> Weights:
        """Read a bundle.

        Raises:
            LingoLiteError: the weights are not a safetensors file, or have calibrated ranges that are not whole.
        """
        weights = cls(bundle.manifest.model, read_tensors(bundle))
        if weights.activations == "calibrated":
            layers = [name for group in shared_inputs(weights.config) for name in group]
            ranges = {name: found for name in layers if (found := weights._input_range(name)) is not None}
            quantized = {name for name in layers if weights.stored(name).dtype == np.int8}
            require_usable_ranges(weights.config, ranges, quantized=quantized)
        return weights

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
        # Any matrix would do: without integers all have one dtype.
        dtype = self.stored(parts_of(self.config).decoder.projection.name).dtype
        if dtype == np.float32:
            return "float32"
        return "float16" if dtype == np.float16 else "bfloat16"

    def matrix(self, name: str) -> Matrix | GroupedMatrix:
        """The matrix of the layer `name`, whichever layer it is stored for.

        Raises:
            LingoLiteError: it is missing, or of a dtype or scale that no bundle should have.
        """
        key = self._key(name)
        if is_grouped(self._tensors, key):
            return read_grouped(self._tensors, key, columns=self._shapes[key][1])
        # A tied layer has the scale of the matrix that it uses, under that matrix's name.
        values, scale = self.stored(name), self._tensors.get(key + SCALE_SUFFIX)
        if values.dtype not in _MATRIX_DTYPES or (values.dtype == np.int8) != (scale is not None):
            raise LingoLiteError(
                f"{key} is {values.dtype} {'with' if scale is not None else 'without'} a scale",
                hint="float32, float16, bfloat16, and int8 with one scale a row can be exported",
            )
        if scale is None:
            return Matrix(values)
        if scale.shape != (values.shape[0], 1):
            raise LingoLiteError(
                f"{key}{SCALE_SUFFIX} has shape {list(scale.shape)}, not [{values.shape[0]}, 1]",
                hint="exports carry one scale a row; quantize with the method `dynamic-int8`",
            )
        return Matrix(values, scale[:, 0].astype(np.float32), self._input_range(name))

    def floats(self, name: str) -> Array:
        """The weight of a layer that is never quantized, float32: the gains of a norm, or a table of positions."""
        return self.stored(name).astype(np.float32)

    def bias(self, name: str) -> Array:
        """[out] float32, the bias of the layer `name`.

        Raises:
            LingoLiteError: it is missing.
        """
        return self._tensor(name + BIAS_SUFFIX).astype(np.float32)

    def stored(self, name: str) -> Array:
        """The tensor of the layer `name` in the dtype that it is stored in.

        Raises:
            LingoLiteError: it is missing.
        """
        return self._tensor(self._key(name))

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
        return InputRange(float(np.float32(scale[0])), int(zero_point[0]))

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
