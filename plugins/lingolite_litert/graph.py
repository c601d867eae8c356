"""Building a LiteRT file: tensors, operators, subgraphs with signatures, and buffers that all of them share.

Owns the flatbuffer; what the graphs compute is in `lingolite_litert.emitter`. Nothing is traced or converted: the same
calls give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import flatbuffers
import msgspec
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_litert.operators import options_of

DYNAMIC = -1
"""In a shape: known only when the graph runs."""

_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 64
"""Bytes. Runtimes map the file and multiply where it lies; 64 is a cache line, and a multiple of the format's 16."""
_LARGEST_BYTES = (1 << 31) - 1
_RUNTIME_VERSION_BYTES = 16
_LARGEST_OLD_CODE = 127
"""`deprecated_builtin_code` is one byte; runtimes take the larger of it and `builtin_code`."""

_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
}

Layout: TypeAlias = Literal["rows", "heads"]


class Value(msgspec.Struct, frozen=True):
    """A tensor of a graph: its number and its shape, in which `DYNAMIC` stands for what is not known."""

    index: int
    shape: tuple[int, ...]


class NamedTensor(msgspec.Struct, frozen=True):
    """A tensor that holds values of named operations (`lingolite_cli.architecture.recording`).

    Attributes:
        name: of the tensor in its subgraph.
        operations: whose values lie side by side along its last axis.
        widths: of each of them, where there are several.
        layout: `rows` for [N, width] with a row a token; `heads` for [..., heads, positions, D].
    """

    name: str
    operations: tuple[str, ...]
    widths: tuple[int, ...] = ()
    layout: Layout = "rows"


class FileBuilder:
    """One file.

    Args:
        min_runtime_version: of TensorFlow Lite's numbering, noted in the file's metadata.
    """

    def __init__(self, *, min_runtime_version: str) -> None:
        self._buffers: list[Any] = [schema.BufferT()]
        self._by_digest: dict[str, int] = {}
        self._codes: dict[tuple[str, int], int] = {}
        self.graphs: list[GraphBuilder] = []
        padded = min_runtime_version.encode().ljust(_RUNTIME_VERSION_BYTES, b"\0")
        self._metadata = schema.MetadataT(
            name="min_runtime_version", buffer=self.buffer(np.frombuffer(padded, np.uint8))
        )

    def graph(self, name: str) -> GraphBuilder:
        """A new subgraph, whose signature has its name. The first is the one that runtimes run if none is named."""
        self.graphs.append(GraphBuilder(self, name))
        return self.graphs[-1]

    def buffer(self, array: Array) -> int:
        """Number of a buffer with the bytes of `array`; equal bytes are stored once, whichever graph asks."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        digest = hashlib.sha256(data.tobytes()).hexdigest()
        if digest not in self._by_digest:
            self._by_digest[digest] = len(self._buffers)
            self._buffers.append(schema.BufferT(data=data))
        return self._by_digest[digest]

    def operator(self, name: str, version: int) -> int:
        """Number of an operator code."""
        return self._codes.setdefault((name, version), len(self._codes))

    def serialized(self) -> bytes:
        """The file.

        Raises:
            LingoLiteError: it would be larger than the format allows.
        """
        size = sum(len(buffer.data) for buffer in self._buffers[1:])
        if size > _LARGEST_BYTES:
            raise LingoLiteError(
                f"the weights have {size:,} bytes, and a .tflite file at most {_LARGEST_BYTES:,}",
                hint="quantize the bundle: `lingolite quantize --method dynamic-int8`",
            )
        model = schema.ModelT(
            version=_SCHEMA_VERSION,
            operatorCodes=[_operator_code(name, version) for name, version in self._codes],
            subgraphs=[graph.subgraph() for graph in self.graphs],
            description="lingolite",
            buffers=self._buffers,
            metadata=[self._metadata],
            signatureDefs=[graph.signature(index) for index, graph in enumerate(self.graphs)],
        )
        return packed(model)


def packed(model: Any) -> bytes:
    """The bytes of a file, from its table `ModelT`."""
    model.buffers = [_AlignedBuffer.of(buffer) for buffer in model.buffers]
    size = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = flatbuffers.Builder(size + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


class GraphBuilder:
    """One subgraph.

    Args:
        file: that it belongs to.
        name: of the subgraph and of its signature.
    """

    def __init__(self, file: FileBuilder, name: str) -> None:
        self.name = name
        self.named: list[NamedTensor] = []
        self._file = file
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._constants: dict[tuple[object, ...], Value] = {}
        self._inputs: dict[str, Value] = {}
        self._outputs: dict[str, Value] = {}

    def input(self, name: str, shape: Sequence[int], dtype: str) -> Value:
        """An input of the signature."""
        value = self._tensor(name, tuple(shape), np.dtype(dtype), is_input=True)
        self._inputs[name] = value
        return value

    def output(self, name: str, value: Value) -> None:
        """Note `value` as an output of the signature."""
        self._outputs[name] = value

    def constant(self, array: Array, name: str, *, scale: Array | None = None) -> Value:
        """A tensor with fixed values; equal ones are one.

        Args:
            array: the values.
            name: of the tensor.
            scale: [rows] float32, of int8 values: what 1 stands for in each row.
        """
        buffer = self._file.buffer(array)
        digest = None if scale is None else scale.tobytes()
        key = (buffer, array.shape, array.dtype.str, digest)
        if key not in self._constants:
            value = self._tensor(name, array.shape, array.dtype, buffer=buffer)
            if scale is not None:
                self._tensors[value.index].quantization = schema.QuantizationParametersT(
                    scale=scale.astype(np.float32), zeroPoint=np.zeros(len(scale), np.int64), quantizedDimension=0
                )
            self._constants[key] = value
        return self._constants[key]

    def op(self, operator: str, *inputs: Value | None, shape: Sequence[int], **attributes: Any) -> Value:
        """Add an operator with one output; see `ops`."""
        return self.ops(operator, *inputs, shapes=[shape], **attributes)[0]

    def ops(
        self,
        operator: str,
        *inputs: Value | None,
        shapes: Sequence[Sequence[int]],
        dtype: str = "float32",
        version: int = 1,
        **options: Any,
    ) -> list[Value]:
        """Add an operator.

        Args:
            operator: as the schema spells it.
            *inputs: None is an input that is left out.
            shapes: of its outputs.
            dtype: of its outputs.
            version: of the operator, as it is used here.
            **options: its own.

        Returns:
            Its outputs.
        """
        names = [f"{operator.lower()}_{len(self._operators)}", *(f":{place}" for place in range(1, len(shapes)))]
        names = [names[0] + name if place else name for place, name in enumerate(names)]
        outputs = [self._tensor(name, tuple(shape), np.dtype(dtype)) for name, shape in zip(names, shapes, strict=True)]
        kind, made = options_of(operator, options)
        self._operators.append(
            schema.OperatorT(
                opcodeIndex=self._file.operator(operator, version),
                inputs=np.array([-1 if value is None else value.index for value in inputs], np.int32),
                outputs=np.array([output.index for output in outputs], np.int32),
                builtinOptionsType=kind,
                builtinOptions=made,
            )
        )
        return outputs

    def binary(self, operator: str, one: Value, other: Value, *, dtype: str = "float32") -> Value:
        """ADD, SUB or MUL, broadcast."""
        return self.op(operator, one, other, shape=_broadcast(one.shape, other.shape), dtype=dtype)

    def reshape(self, x: Value, *shape: int, dtype: str = "float32") -> Value:
        """x in another shape, of which one size may be `DYNAMIC`."""
        assert shape.count(DYNAMIC) <= 1, shape
        if DYNAMIC in shape and DYNAMIC not in x.shape:
            rest = -math.prod(shape)
            shape = tuple(math.prod(x.shape) // rest if size == DYNAMIC else size for size in shape)
        new = np.array(shape, np.int32)
        return self.op("RESHAPE", x, self.integers(*shape), shape=shape, dtype=dtype, newShape=new)

    def transpose(self, x: Value, *order: int) -> Value:
        """x with its axes in another order."""
        return self.op("TRANSPOSE", x, self.integers(*order), shape=[x.shape[axis] for axis in order])

    def part(self, x: Value, start: int, end: int, *, axis: int) -> Value:
        """x from `start` to `end` along an axis whose size is known."""
        # STRIDED_SLICE: SLICE says the sizes of other axes, which are not known; masks leave these whole.
        starts, ends = [0] * len(x.shape), [0] * len(x.shape)
        starts[axis], ends[axis] = start, end
        others = sum(1 << other for other in range(len(x.shape)) if other != axis)
        shape = [end - start if place == axis else size for place, size in enumerate(x.shape)]
        steps = self.integers(*[1] * len(x.shape))
        inputs = (self.integers(*starts), self.integers(*ends), steps)
        return self.op("STRIDED_SLICE", x, *inputs, shape=shape, beginMask=others, endMask=others)

    def split(self, x: Value, sizes: Sequence[int], *, axis: int) -> list[Value]:
        """Parts of x along an axis whose size is known."""
        ends = np.cumsum(sizes).tolist()
        return [self.part(x, end - size, end, axis=axis) for size, end in zip(sizes, ends, strict=True)]

    def integers(self, *values: int) -> Value:
        """A one-dimensional int32 constant."""
        return self.constant(np.array(values, np.int32), "_".join(["integers", *map(str, values)]))

    def integer(self, value: int) -> Value:
        """An int32 constant without dimensions."""
        return self.constant(np.array(value, np.int32), f"integer_{value}")

    def scalar(self, value: float) -> Value:
        """A float32 constant without dimensions."""
        return self.constant(np.array(value, np.float32), f"scalar_{np.float32(value):g}")

    def expose(self, value: Value, *operations: str, widths: tuple[int, ...] = (), layout: Layout = "rows") -> Value:
        """Note that `value` holds the values of named operations."""
        self.named.append(NamedTensor(self._tensors[value.index].name, operations, widths, layout))
        return value

    def subgraph(self) -> Any:
        """For the file."""
        return schema.SubGraphT(
            tensors=self._tensors,
            inputs=np.array([value.index for value in self._inputs.values()], np.int32),
            outputs=np.array([value.index for value in self._outputs.values()], np.int32),
            operators=self._operators,
            name=self.name,
        )

    def signature(self, index: int) -> Any:
        """For the file, in which this is the subgraph number `index`."""
        return schema.SignatureDefT(
            inputs=[schema.TensorMapT(name=name, tensorIndex=one.index) for name, one in self._inputs.items()],
            outputs=[schema.TensorMapT(name=name, tensorIndex=one.index) for name, one in self._outputs.items()],
            signatureKey=self.name,
            subgraphIndex=index,
        )

    def _tensor(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], *, buffer: int = 0, is_input: bool = False
    ) -> Value:
        # Only inputs say which dimensions are dynamic: the others follow from them when tensors are allocated.
        signature = np.array(shape, np.int32) if is_input and DYNAMIC in shape else None
        self._tensors.append(
            schema.TensorT(
                shape=np.array([1 if size == DYNAMIC else size for size in shape], np.int32),
                type=_TYPES[dtype],
                buffer=buffer,
                name=name,
                shapeSignature=signature,
                hasRank=True,
            )
        )
        return Value(len(self._tensors) - 1, shape)


def times(size: int, factor: int) -> int:
    """A size that may be `DYNAMIC`, times a number."""
    return size if size == DYNAMIC else size * factor


def _broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    rank = max(len(one), len(other))
    pairs = zip(((1,) * (rank - len(one)) + one), ((1,) * (rank - len(other)) + other), strict=True)
    return tuple(a if b == 1 or a == DYNAMIC else b for a, b in pairs)


def _operator_code(name: str, version: int) -> Any:
    code = getattr(schema.BuiltinOperator, name)
    return schema.OperatorCodeT(deprecatedBuiltinCode=min(code, _LARGEST_OLD_CODE), builtinCode=code, version=version)


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes lie where the format wants them: the generated class forgets about alignment."""

    @classmethod
    def of(cls, buffer: Any) -> Any:
        """The same buffer; one without bytes as it is."""
        return buffer if buffer.data is None else cls(data=buffer.data)

    def Pack(self, builder: Any) -> int:
        """Write the buffer, and return its place."""
        builder.StartVector(1, len(self.data), _ALIGNMENT)
        start = builder.head - len(self.data)
        builder.head = start
        builder.Bytes[start : start + len(self.data)] = self.data.tobytes()
        place = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, place)
        end: int = schema.BufferEnd(builder)
        return end
