"""Building an ONNX graph: names, nodes, and initializers in one shared file.

Owns how a graph is put together; what it computes is in `lingolite_onnx.portable` and `lingolite_onnx.ort`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lingolite_cli.arrays import Array
from lingolite_cli.environment import VERSION
from lingolite_onnx.interface import Interface, Value

WEIGHTS_FILE = "weights.bin"
RUNTIME_DOMAIN = "com.microsoft"
"""The domain of operators that only ONNX Runtime has."""

EXTERNAL_FROM_BYTES = 1024
"""Smaller initializers stay in the graph: shapes and scalars, which shape inference and fusions must see."""

_ALIGNMENT = 64
"""Bytes. Runtimes map the file and multiply where it lies, and 64 is a cache line and the widest vector."""


class NamedTensor(msgspec.Struct, frozen=True):
    """A tensor of a graph that holds values of named operations (`lingolite_cli.architecture.recording`).

    Attributes:
        name: of the tensor.
        operations: whose values lie side by side along its last axis.
        widths: of each of them, where there are several.
        layout: `rows` for [..., width] with a row a token; `keys` for [B, K, D, positions], `values` for
            [B, K, positions, D], which hold all positions so far.
        factor: a tensor [..., 1] that the values are multiplied with, where the graph does so later.
    """

    name: str
    operations: tuple[str, ...]
    widths: tuple[int, ...] = ()
    layout: Literal["rows", "keys", "values"] = "rows"
    factor: str | None = None


class BuiltGraph(msgspec.Struct, frozen=True):
    """A finished graph, and which of its tensors are values of named operations; that is not part of the file."""

    model: onnx.ModelProto
    named: tuple[NamedTensor, ...]


class WeightFile:
    """The file of all large initializers; equal contents are stored once, whichever graph asks.

    Args:
        path: the file, made empty at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, int] = {}
        self._size = 0
        path.write_bytes(b"")

    def tensor(self, name: str, array: Array) -> onnx.TensorProto:
        """An initializer that refers to the bytes of `array` in this file."""
        data = np.ascontiguousarray(array).tobytes()
        digest = hashlib.sha256(data).hexdigest()
        # By content and not by name: encoder, decoders and the embedding share bytes under different names and shapes.
        if digest not in self._offsets:
            self._offsets[digest] = self._append(data)
        return external_tensor(name, array, location=self._path.name, offset=self._offsets[digest], length=len(data))

    def _append(self, data: bytes) -> int:
        padding = -self._size % _ALIGNMENT
        offset = self._size + padding
        with self._path.open("ab") as stream:
            stream.write(bytes(padding) + data)
        self._size = offset + len(data)
        return offset


def external_tensor(name: str, array: Array, *, location: str, offset: int, length: int) -> onnx.TensorProto:
    """An initializer like `array` whose `length` bytes lie at `offset` of the file `location`."""
    tensor = TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


class GraphBuilder:
    """One graph, of standard operators unless a node names a domain. Methods that add a node return its outputs' names.

    Args:
        name: the graph's name.
        weight_file: where large initializers go.
    """

    def __init__(self, name: str, weight_file: WeightFile) -> None:
        self._name = name
        self._weight_file = weight_file
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._names: dict[str, str] = {}
        self._named: list[NamedTensor] = []
        self._scope = ""

    def enter(self, scope: str | None) -> None:
        """Prefix the names of nodes made from now on; None: do not."""
        self._scope = f"{scope}/" if scope else ""

    def op(self, op_type: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, called `name` or else after its operator."""
        return self.ops(op_type, *inputs, names=[name], **attributes)[0]

    def ops(self, op_type: str, *inputs: str, names: Sequence[str | None], **attributes: Any) -> list[str]:
        """Add a node with as many outputs as `names`; None names an output after its operator, "" leaves it out."""
        node_name = f"{self._scope}{op_type}_{len(self._nodes)}"
        outputs = [f"{node_name}:{index}" if name is None else name for index, name in enumerate(names)]
        self._nodes.append(helper.make_node(op_type, inputs, outputs, name=node_name, **attributes))
        return outputs

    def constant(self, values: Array | np.generic, name: str | None = None) -> str:
        """An initializer; equal arrays are one."""
        array = np.asarray(values)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        key = f"{array.dtype}{array.shape}{digest}"
        if key not in self._names:
            self._names[key] = name or f"constant_{len(self._names)}"
            self._initializers.append(self._tensor(self._names[key], array))
        return self._names[key]

    def expose(self, tensor: str, *operations: str, **attributes: Any) -> str:
        """Note that `tensor` holds the values of named operations; `attributes` are further ones of `NamedTensor`."""
        self._named.append(NamedTensor(tensor, operations, **attributes))
        return tensor

    def conceal(self, operation: str) -> None:
        """Forget which tensor holds the values of an operation."""
        self._named = [one for one in self._named if operation not in one.operations]

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 initializer."""
        return self.constant(np.array(values, dtype=np.int64))

    def scalar_integer(self, value: int) -> str:
        """An int64 initializer without dimensions."""
        return self.constant(np.int64(value))

    def scalar(self, value: float) -> str:
        """A float32 initializer without dimensions."""
        return self.constant(np.float32(value))

    def model(self, interface: Interface, *, opset_version: int) -> onnx.ModelProto:
        """The finished model; its weights stay in their file."""
        opset = helper.make_opsetid("", opset_version)
        uses_runtime = any(node.domain == RUNTIME_DOMAIN for node in self._nodes)
        opsets = [opset, helper.make_opsetid(RUNTIME_DOMAIN, 1)] if uses_runtime else [opset]
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [_value_info(value) for value in interface.inputs],
            [_value_info(value) for value in interface.outputs],
            self._initializers,
        )
        return helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for([opset]),  # the newest one shuts out older runtimes
            producer_name="lingolite",
            producer_version=VERSION,
        )

    def finish(self, interface: Interface, *, opset_version: int) -> BuiltGraph:
        """The model, with what was noted of its tensors."""
        return BuiltGraph(self.model(interface, opset_version=opset_version), tuple(self._named))

    def _tensor(self, name: str, array: Array) -> onnx.TensorProto:
        if array.nbytes >= EXTERNAL_FROM_BYTES:
            return self._weight_file.tensor(name, array)
        return numpy_helper.from_array(array, name)


def _value_info(value: Value) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return helper.make_tensor_value_info(value.name, element, list(value.shape))


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model so that equal models give equal bytes."""
    path.write_bytes(model.SerializeToString(deterministic=True))
