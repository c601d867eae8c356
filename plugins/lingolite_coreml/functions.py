"""The two functions of a program: `encode`, and `decode`, which reads one token a call.

Owns what differs between them: positions, what is kept, and how. The order of layers is that of
`lingolite_cli.architecture.network`. S source, P positions, H heads, K key/value heads, D head_dim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools import target as targets
from coremltools.converters.mil import input_types
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Function, Placeholder, get_new_symbol, types

from lingolite_cli.architecture.architecture import Relative
from lingolite_cli.architecture.network import decode, encode, read_source
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, Layer, Ssru
from lingolite_cli.architecture.positions import decoder_buckets, encoder_buckets
from lingolite_cli.weights.bundle import Weights
from lingolite_coreml.constants import Constants
from lingolite_coreml.emitter import MASKED, CoreMLEmitter
from lingolite_coreml.interface import (
    LOGITS,
    POSITION,
    SOURCE,
    SOURCE_IDS,
    SOURCE_MASK,
    TOKEN,
    FunctionInterface,
    Layout,
    Value,
    decode_interface,
    encode_interface,
    identifier,
)

TARGETS = {"ios16": targets.iOS16, "ios18": targets.iOS18}
_TYPES = {"int32": types.int32, "float32": types.fp32, "float16": types.fp16}


def build_encode(weights: Weights, layout: Layout) -> Function:
    """The function of `encode_interface`."""
    interface = encode_interface(weights.config, layout)
    with _function(interface, layout) as function:
        emitter = _Encoder(function, Constants(weights, layout), layout)
        mask = function.inputs.get(SOURCE_MASK)
        read_source(emitter, emitter.parts, encode(emitter, emitter.parts, function.inputs[SOURCE_IDS], mask))
        function.set_outputs([emitter.outputs[value.name] for value in interface.outputs])
    return function


def build_decode(weights: Weights, layout: Layout) -> Function:
    """The function of `decode_interface`."""
    interface = decode_interface(weights.config, layout)
    with _function(interface, layout) as function:
        emitter = _Decoder(function, Constants(weights, layout), layout)
        mask = function.inputs.get(SOURCE_MASK)
        emitter.outputs[LOGITS] = decode(emitter, emitter.parts, function.inputs[TOKEN], mask)
        function.set_outputs([emitter.outputs[value.name] for value in interface.outputs])
    return function


def _function(interface: FunctionInterface, layout: Layout) -> Function:
    # The builder counts names for the whole process: built a second time, the same function would have other names.
    mb.name_count.clear()
    length = get_new_symbol()
    function = Function(
        {
            **{value.name: _placeholder(value, length) for value in interface.inputs},
            **{value.name: mb.state_tensor_placeholder(value.shape, dtype=types.fp16) for value in interface.states},
        },
        opset_version=TARGETS[layout.target],
    )
    # Without a range a symbol would silently be 1 or 2.
    function.set_input_types(
        tuple(
            input_types.TensorType(
                name=value.name,
                shape=tuple(
                    input_types.RangeDim(1, layout.positions, default=1) if size == SOURCE else size
                    for size in value.shape
                ),
            )
            for value in interface.inputs
        )
    )
    return function


def _placeholder(value: Value, length: Any) -> Placeholder:
    shape = tuple(length if size == SOURCE else size for size in value.shape)
    return Placeholder(shape, dtype=_TYPES[value.dtype])


class _Encoder(CoreMLEmitter):
    """Operations of the encoder, which reads one sentence."""

    def __init__(self, function: Function, constants: Constants, layout: Layout) -> None:
        super().__init__(constants, layout)
        self._ids = function.inputs[SOURCE_IDS]
        self._places_made: Any = None
        self.outputs: dict[str, Any] = {}

    def _length(self) -> Any:
        """S, int32."""
        return mb.gather(x=mb.shape(x=self._ids), indices=np.int32(1), axis=0)

    def _places(self) -> Any:
        """[S] int32, 0 to S - 1."""
        if self.layout.shapes == "fixed":
            return self.constants.integers("places", np.arange(self.num_positions))
        if self._places_made is None:
            self._places_made = mb.range_1d(start=np.int32(0), end=self._length(), step=np.int32(1))
        return self._places_made

    def rotation(self, stack: Encoder | Decoder) -> Any:
        """Tables [S, D] of positions 0 to S - 1."""
        return self.rotation_at(self._places())

    def positions(self, x: Any, stack: Encoder | Decoder) -> Any:
        """x [1, S, d_model] with the vectors of positions 0 to S - 1."""
        return mb.add(x=x, y=self.position_rows(stack, self._places()), name=f"{stack.name}_positions")

    def relative_bias(self, stack: Encoder | Decoder) -> Any:
        """[1, K, H / K · S, S], as scores are."""
        kind, architecture = self.architecture.positions, self.architecture
        assert isinstance(kind, Relative)
        table = self.bias_by_distance(stack, encoder_buckets(kind, self.num_positions))
        places = self._places()
        keys, queries = mb.expand_dims(x=places, axes=[0]), mb.expand_dims(x=places, axes=[1])
        rows = mb.add(x=mb.sub(x=keys, y=queries), y=np.int32(self.num_positions - 1))
        by_head = mb.gather(x=table, indices=rows, axis=1)
        if architecture.n_kv_heads == architecture.n_heads:
            return mb.expand_dims(x=by_head, axes=[0])
        if self.layout.shapes == "fixed":
            return mb.reshape(x=by_head, shape=[1, architecture.n_kv_heads, -1, self.num_positions])
        leading = np.array([1, architecture.n_kv_heads, -1], np.int32)
        shape = mb.concat(values=[leading, mb.expand_dims(x=self._length(), axes=[0])], axis=0)
        return mb.reshape(x=by_head, shape=shape)

    def heads(self, attention: Attention, parts: tuple[Any, ...], rotation: Any) -> tuple[Any, ...]:
        """[1, heads, S, D] each; keys and values of the source are outputs."""
        if not attention.reads_source:
            return self.rotated_heads(attention, parts, rotation)
        return tuple(
            self.by_head(part, attention, attention.n_kv_heads, name=f"cross_{kind}_{attention.index}")
            for part, kind in zip(parts, ("key", "value"), strict=True)
        )

    def keep(self, attention: Attention, key: Any, value: Any) -> None:
        """Outputs: keys and values [1, K, S, D] of a decoder layer."""
        self.outputs |= {key.name: key, value.name: value}


class _Decoder(CoreMLEmitter):
    """Operations of the decoder, which reads the token at position p."""

    def __init__(self, function: Function, constants: Constants, layout: Layout) -> None:
        super().__init__(constants, layout)
        self._inputs = function.inputs
        self.outputs: dict[str, Any] = {}

    @property
    def _position(self) -> Any:
        """[1] int32, p."""
        return self._inputs[POSITION]

    def _places(self) -> Any:
        """[P] int32, all positions that there may be."""
        return self.constants.integers("places", np.arange(self.num_positions))

    def causal(self) -> Any:
        """[P], to add to scores: hides what the caches do not have yet."""
        hidden = mb.greater(x=self._places(), y=self._position)
        dtype = {"float32": "fp32", "float16": "fp16"}[self.constants.compute]
        return mb.mul(x=mb.cast(x=hidden, dtype=dtype), y=self.constants.scalar(MASKED))

    def rotation(self, stack: Encoder | Decoder) -> Any:
        """Tables [1, D] of position p."""
        return self.rotation_at(self._position)

    def positions(self, x: Any, stack: Encoder | Decoder) -> Any:
        """x [1, 1, d_model] with the vector of position p."""
        return mb.add(x=x, y=self.position_rows(stack, self._position), name=f"{stack.name}_positions")

    def relative_bias(self, stack: Encoder | Decoder) -> Any:
        """[1, K, H / K, P]: the bias of the distances from p; what lies behind p is hidden anyway."""
        kind, architecture = self.architecture.positions, self.architecture
        assert isinstance(kind, Relative)
        table = self.bias_by_distance(stack, decoder_buckets(kind, self.num_positions))
        distances = mb.maximum(x=mb.sub(x=self._position, y=self._places()), y=np.int32(0))
        by_head = mb.gather(x=table, indices=distances, axis=1)
        kv_heads = architecture.n_kv_heads
        return mb.reshape(x=by_head, shape=[1, kv_heads, architecture.n_heads // kv_heads, self.num_positions])

    def heads(self, attention: Attention, parts: tuple[Any, ...], rotation: Any) -> tuple[Any, ...]:
        """[1, heads, 1, D] each."""
        if attention.reads_source:
            return (self.by_head(parts[0], attention, attention.n_heads),)
        return self.rotated_heads(attention, parts, rotation)

    def append(self, attention: Attention, key: Any, value: Any) -> tuple[Any, Any]:
        """Keys and values [1, K, P, D] with those of this token at position p."""
        return self._with(f"key_{attention.index}", key), self._with(f"value_{attention.index}", value)

    def _with(self, name: str, row: Any) -> Any:
        if self.layout.cache == "state":
            return self._in_state(name, row)
        # Buffers begin as zeros, and every position is written once, so that a sum writes it. iOS 16 has no update.
        dtype = {"float32": "fp32", "float16": "fp16"}[self.constants.compute]
        is_here = mb.cast(x=mb.equal(x=self._places(), y=self._position), dtype=dtype)
        column = mb.reshape(x=is_here, shape=[1, 1, self.num_positions, 1])
        self.outputs[f"present_{name}"] = mb.add(
            x=self._inputs[f"past_{name}"], y=mb.mul(x=column, y=row), name=f"present_{name}"
        )
        return self.outputs[f"present_{name}"]

    def _in_state(self, name: str, row: Any) -> Any:
        state = self._inputs[f"past_{name}"]
        zeros, last = np.zeros(2, np.int32), np.zeros(1, np.int32)
        _, heads, _, width = row.shape
        following = mb.add(x=self._position, y=np.int32(1))
        updated = mb.slice_update(
            x=mb.read_state(input=state),
            update=row,
            begin=mb.concat(values=[zeros, self._position, last], axis=0),
            end=mb.concat(values=[np.array([1, heads], np.int32), following, np.array([width], np.int32)], axis=0),
        )
        # Right after its update: Core ML takes no two updates of states that interleave.
        return mb.coreml_update_state(state=state, value=updated, name=f"present_{name}")

    def recall(self, attention: Attention) -> tuple[Any, Any]:
        """Inputs: keys and values [1, K, S, D] of the source."""
        return self._inputs[f"cross_key_{attention.index}"], self._inputs[f"cross_value_{attention.index}"]

    def ssru(self, block: Ssru, candidate: Any, forget: Any) -> Any:
        """[1, 1, d_model]; the new cell is kept."""
        name = f"cell_{block.index}"
        past = self._inputs[f"past_{name}"]
        is_state = self.layout.cache == "state"
        share = mb.sigmoid(x=forget)
        kept = mb.mul(x=share, y=mb.read_state(input=past) if is_state else past)
        taken = mb.mul(x=mb.sub(x=self.constants.scalar(1.0), y=share), y=candidate)
        if is_state:
            cell = mb.coreml_update_state(state=past, value=mb.add(x=kept, y=taken), name=f"present_{name}")
        else:
            cell = mb.add(x=kept, y=taken, name=f"present_{name}")
            self.outputs[f"present_{name}"] = cell
        return mb.relu(x=cell, name=identifier(block.name))

    def project(self, x: Any, projection: Layer) -> Any:
        """[1, V] float32 logits from x [1, 1, d_model]."""
        row = mb.squeeze(x=x, axes=[1])
        if self.constants.compute == "float32":
            return self._product(row, projection, name=LOGITS)
        return mb.cast(x=self._product(row, projection, name=None), dtype="fp32", name=LOGITS)
