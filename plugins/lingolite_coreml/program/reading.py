"""A program from its specification (`model.mlmodel`) and its arrays.

Owns what of Core ML's protobuf messages is read. What operations compute is in `lingolite_coreml.program.operations`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from coremltools.proto import MIL_pb2, Model_pb2
from google.protobuf.message import DecodeError

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_coreml.program.blobs import WeightFile

SPECIFICATION, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"

_DTYPES: dict[int, np.dtype[Any]] = {
    MIL_pb2.FLOAT16: np.dtype(np.float16),
    MIL_pb2.FLOAT32: np.dtype(np.float32),
    MIL_pb2.INT32: np.dtype(np.int32),
    MIL_pb2.INT8: np.dtype(np.int8),
    MIL_pb2.UINT8: np.dtype(np.uint8),
    MIL_pb2.BOOL: np.dtype(np.bool_),
    # Integers of 4 bits, one a byte.
    MIL_pb2.INT4: np.dtype(np.int8),
    MIL_pb2.UINT4: np.dtype(np.uint8),
}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of a function.

    Attributes:
        type: name of the operation in MIL.
        inputs: by parameter, names of values, and constants; several where it takes a list.
        outputs: names of the values that it gives.
        dtypes: their types.
    """

    type: str
    inputs: dict[str, tuple[str | Array, ...]]
    outputs: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...]


class ProgramFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function.

    Attributes:
        inputs: by name, their types.
        states: by name, their types and shapes.
        outputs: names of values.
        nodes: in the order of computation; constants are in `constants`.
        constants: by name, as stored.
    """

    inputs: dict[str, np.dtype[Any]]
    states: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: dict[str, Array]


def read_package(package: Path) -> dict[str, ProgramFunction]:
    """The functions of a `.mlpackage` by name.

    Raises:
        LingoLiteError: it is damaged, or not an ML program.
    """
    path = package / SPECIFICATION
    try:
        model = Model_pb2.Model.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise _damaged(path, f"cannot be read: {error}") from None
    if model.WhichOneof("Type") != "mlProgram":
        raise _damaged(path, "is not an ML program")
    reader = _Reader(path, WeightFile(package / WEIGHTS))
    try:
        return {name: reader.function(function) for name, function in model.mlProgram.functions.items()}
    except (KeyError, ValueError, IndexError, AssertionError) as error:
        raise _damaged(path, f"is not a program that can be read: {error!r}") from None


def _damaged(path: Path, what: str) -> LingoLiteError:
    return LingoLiteError(f"{path} {what}", hint="the package is damaged; export the bundle again")


class _Reader:
    def __init__(self, path: Path, weights: WeightFile) -> None:
        self._path = path
        self._weights = weights

    def function(self, function: Any) -> ProgramFunction:
        block = function.block_specializations[function.opset]
        constants: dict[str, Array] = {}
        nodes = []
        for operation in block.operations:
            if operation.type == "const":
                constants[operation.outputs[0].name] = self._value(operation.attributes["val"])
            else:
                nodes.append(self._node(operation))
        types = {value.name: value.type for value in function.inputs}
        return ProgramFunction(
            inputs={name: _dtype(type) for name, type in types.items() if not _is_state(type)},
            states={
                name: (_dtype(type.stateType.wrappedType), _shape(type.stateType.wrappedType))
                for name, type in types.items()
                if _is_state(type)
            },
            outputs=tuple(block.outputs),
            nodes=tuple(nodes),
            constants=constants,
        )

    def _node(self, operation: Any) -> Node:
        inputs: dict[str, tuple[str | Array, ...]] = {
            name: tuple(
                self._value(one.value) if one.WhichOneof("binding") == "value" else one.name
                for one in argument.arguments
            )
            for name, argument in operation.inputs.items()
        }
        # Constant expressions of iOS 16 have their inputs among the attributes.
        inputs |= {name: (self._value(value),) for name, value in operation.attributes.items() if name != "name"}
        return Node(
            type=operation.type,
            inputs=inputs,
            outputs=tuple(value.name for value in operation.outputs),
            dtypes=tuple(_dtype(value.type) for value in operation.outputs),
        )

    def _value(self, value: Any) -> Array:
        if value.type.WhichOneof("type") != "tensorType":
            raise ValueError("a constant is not a tensor")
        shape = _shape(value.type)
        if value.WhichOneof("value") == "blobFileValue":
            return self._weights.read(value.blobFileValue.offset, shape)
        tensor = value.immediateValue.tensor
        kind = tensor.WhichOneof("value")
        if kind == "strings":
            return np.array(list(tensor.strings.values)).reshape(shape)
        if kind == "bytes":
            return np.frombuffer(tensor.bytes.values, _dtype(value.type)).reshape(shape)
        return np.array(list(getattr(tensor, kind).values), _dtype(value.type)).reshape(shape)


def _is_state(type: Any) -> bool:
    return bool(type.WhichOneof("type") == "stateType")


def _dtype(type: Any) -> np.dtype[Any]:
    dtype = type.tensorType.dataType
    if dtype not in _DTYPES:
        raise ValueError(f"unknown type {dtype}")
    return _DTYPES[dtype]


def _shape(type: Any) -> tuple[int, ...]:
    """Of a value whose shape is known."""
    return tuple(int(dimension.constant.size) for dimension in type.tensorType.dimensions)
