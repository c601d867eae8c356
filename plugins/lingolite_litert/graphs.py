"""The two graphs: an encoder that also prepares cross-attention, and a decoder that reads one token a row.

Owns what differs between them: the layout of heads, positions, and what is kept. The order of layers is that of
`lingolite_cli.architecture.network`. B batch, S source, P past, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

import numpy as np

from lingolite_cli.architecture.architecture import Relative
from lingolite_cli.architecture.network import decode, encode, read_source
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, Layer, Ssru
from lingolite_cli.architecture.positions import decoder_buckets, encoder_buckets
from lingolite_cli.architecture.recording import CELL, KEY_CACHE, VALUE_CACHE
from lingolite_cli.weights.bundle import Weights
from lingolite_litert.emitter import Emitter
from lingolite_litert.graph import DYNAMIC, FileBuilder, GraphBuilder, Value, times
from lingolite_litert.interface import (
    DECODE,
    DISTANCES,
    ENCODE,
    LOG_TOTAL,
    LOGITS,
    POSITION,
    SOURCE_IDS,
    SOURCE_MASK,
    TARGET_MASK,
    TOKENS,
    Signature,
    decode_signature,
    encode_signature,
    signature_name,
)


def build_decoder(
    file: FileBuilder, weights: Weights, *, num_positions: int, is_symmetric: bool, bucket: int | None = None
) -> GraphBuilder:
    """The graph of `decode_signature`, for at most `num_positions` target tokens."""
    graph = file.graph(signature_name(DECODE, bucket))
    inputs = _inputs(graph, decode_signature(weights.config, bucket))
    emitter = _Decoder(graph, weights, inputs, num_positions=num_positions, is_symmetric=is_symmetric)
    logits = decode(emitter, emitter.parts, inputs[TOKENS], inputs[SOURCE_MASK])
    graph.output(LOGITS, logits)
    graph.output(LOG_TOTAL, emitter.log_total(logits))
    for name, value in emitter.new.items():
        graph.output(name, value)
    return graph


def build_encoder(
    file: FileBuilder, weights: Weights, *, num_positions: int, is_symmetric: bool, bucket: int | None = None
) -> GraphBuilder:
    """The graph of `encode_signature`, for at most `num_positions` source tokens."""
    graph = file.graph(signature_name(ENCODE, bucket))
    inputs = _inputs(graph, encode_signature(weights.config, bucket))
    emitter = _Encoder(graph, weights, inputs, num_positions=num_positions, is_symmetric=is_symmetric)
    ids = graph.reshape(inputs[SOURCE_IDS], DYNAMIC, dtype="int32")
    read_source(emitter, emitter.parts, encode(emitter, emitter.parts, ids, inputs.get(SOURCE_MASK)))
    return graph


def _inputs(graph: GraphBuilder, signature: Signature) -> dict[str, Value]:
    return {
        port.name: graph.input(
            port.name, [DYNAMIC if isinstance(size, str) else size for size in port.shape], port.dtype
        )
        for port in signature.inputs
    }


class _Graph(Emitter):
    """What both graphs have besides: the inputs of their signature."""

    def __init__(
        self,
        graph: GraphBuilder,
        weights: Weights,
        inputs: dict[str, Value],
        *,
        num_positions: int,
        is_symmetric: bool,
    ) -> None:
        super().__init__(graph, weights, num_positions=num_positions, is_symmetric=is_symmetric)
        self.inputs = inputs


class _Encoder(_Graph):
    """Operations of the encoder, whose heads are [heads, S, D]."""

    def mask(self, mask: Value) -> Value:
        """[1, 1, S] to add to scores, from [1, 1, 1, S]."""
        return self.graph.reshape(mask, 1, 1, DYNAMIC)

    def _places(self) -> Value:
        """[1, S] int32, 0 to S - 1."""
        graph, ids = self.graph, self.inputs[SOURCE_IDS]
        # RANGE has an output whose shape is not known when tensors are allocated, and XNNPACK takes nothing after it.
        nothing = graph.binary("MUL", ids, graph.integer(0), dtype="int32")
        ones = graph.binary("ADD", nothing, graph.integer(1), dtype="int32")
        return graph.op("CUMSUM", ones, graph.integer(1), shape=ids.shape, dtype="int32", exclusive=True)

    def rotation(self, stack: Encoder | Decoder) -> Value:
        """Tables [1, S, D] of positions 0 to S - 1."""
        places = self.graph.reshape(self._places(), DYNAMIC, dtype="int32")
        return self.rotation_at(places, 1, DYNAMIC, self.architecture.head_dim)

    def positions(self, x: Value, stack: Encoder | Decoder) -> Value:
        """x [S, d_model] with the vectors of positions 0 to S - 1."""
        return self.placed(x, stack, self.graph.reshape(self._places(), DYNAMIC, dtype="int32"))

    def relative_bias(self, stack: Encoder | Decoder) -> Value:
        """[K, G·S, S], as `scores_and_values` has its scores."""
        graph, kind, architecture = self.graph, self.architecture.positions, self.architecture
        assert isinstance(kind, Relative)
        table = self.bias_table(stack, encoder_buckets(kind, self.num_positions))
        keys = self._places()
        queries = graph.reshape(keys, DYNAMIC, 1, dtype="int32")
        distances = graph.binary("SUB", keys, queries, dtype="int32")
        rows = graph.binary("ADD", distances, graph.integer(self.num_positions - 1), dtype="int32")
        group, shape = architecture.n_heads // architecture.n_kv_heads, rows.shape
        parts = []
        # By place in the group: a reshape cannot join two axes that are both dynamic.
        for place in range(group):
            stored = graph.constant(np.ascontiguousarray(table[:, place::group]), f"encoder.relative_bias_{place}")
            found = graph.op("GATHER", stored, rows, shape=(*shape, architecture.n_kv_heads))
            parts.append(graph.transpose(found, 2, 0, 1))
        if group == 1:
            return parts[0]
        return graph.op(
            "CONCATENATION", *parts, shape=(architecture.n_kv_heads, times(shape[0], group), shape[1]), axis=1
        )

    def linear(self, x: Value, *layers: Layer) -> tuple[Value, ...]:
        """As of any graph; keys and values of the source for all decoder layers come by head, from one product."""
        if layers[0].role != "key":
            return super().linear(x, *layers)
        kv_heads = self.architecture.n_kv_heads
        fused = self._by_head(self.joint(super().linear(x, *layers)), len(layers) * kv_heads)
        return tuple(self.graph.split(fused, [kv_heads] * len(layers), axis=0))

    def _by_head(self, x: Value, heads: int) -> Value:
        """[heads, S, D] from [S, heads·D]."""
        return self.graph.transpose(self.graph.reshape(x, DYNAMIC, heads, self.architecture.head_dim), 1, 0, 2)

    def heads(self, attention: Attention, parts: tuple[Value, ...], rotation: Value | None) -> tuple[Value, ...]:
        """[heads, S, D] each."""
        if attention.reads_source:
            return parts
        by_head = self._by_head(self.joint(parts), attention.n_heads + 2 * attention.n_kv_heads)
        return self.split_heads(attention, by_head, rotation, axis=0)

    def attend(
        self, attention: Attention, query: Value, key: Value, value: Value, mask: Value | None, bias: Value | None
    ) -> Value:
        """[S, H·D] from heads [heads, S, D]."""
        graph, heads, width = self.graph, attention.n_heads, attention.head_dim
        # Heads of a group are neighbours, so [H, S, D] is [K, G·S, D] without moving anything.
        grouped = graph.reshape(query, attention.n_kv_heads, DYNAMIC, width)
        attended = self.scores_and_values(attention, grouped, key, value, bias, mask)
        by_token = graph.transpose(graph.reshape(attended, heads, DYNAMIC, width), 1, 0, 2)
        return graph.expose(graph.reshape(by_token, DYNAMIC, attention.width), attention.name)

    def keep(self, attention: Attention, key: Value, value: Value) -> None:
        """Outputs: keys and values [1, K, S, D] of a decoder layer."""
        for kind, suffix, one in (("key", KEY_CACHE, key), ("value", VALUE_CACHE, value)):
            kept = self.graph.reshape(one, 1, attention.n_kv_heads, DYNAMIC, attention.head_dim)
            self.graph.expose(kept, attention.name + suffix, layout="heads")
            self.graph.output(f"cross_{kind}_{attention.index}", kept)


class _Decoder(_Graph):
    """Operations of the decoder, whose heads are [B, heads, D], and [B, K, G, D] for attention."""

    def __init__(
        self,
        graph: GraphBuilder,
        weights: Weights,
        inputs: dict[str, Value],
        *,
        num_positions: int,
        is_symmetric: bool,
    ) -> None:
        super().__init__(graph, weights, inputs, num_positions=num_positions, is_symmetric=is_symmetric)
        self.new: dict[str, Value] = {}

    def mask(self, mask: Value) -> Value:
        """As the host gives it, to add to scores."""
        return mask

    def causal(self) -> Value | None:
        """What hides positions of the past that are not filled yet."""
        return self.inputs.get(TARGET_MASK)

    def rotation(self, stack: Encoder | Decoder) -> Value:
        """Tables [1, D] of this position."""
        return self.rotation_at(self.inputs[POSITION], 1, self.architecture.head_dim)

    def relative_bias(self, stack: Encoder | Decoder) -> Value:
        """[1, K, G, P + 1]: the bias of the distances that the host gives."""
        graph, kind, architecture = self.graph, self.architecture.positions, self.architecture
        assert isinstance(kind, Relative)
        table = graph.constant(
            self.bias_table(stack, decoder_buckets(kind, self.num_positions)), "decoder.relative_bias"
        )
        distances = self.inputs[DISTANCES]
        found = graph.op("GATHER", table, distances, shape=(*distances.shape, architecture.n_heads))
        by_head = graph.transpose(found, 1, 0)
        kv_heads = architecture.n_kv_heads
        return graph.reshape(by_head, 1, kv_heads, architecture.n_heads // kv_heads, DYNAMIC)

    def positions(self, x: Value, stack: Encoder | Decoder) -> Value:
        """x [B, d_model] with the vector of this position."""
        return self.placed(x, stack, self.inputs[POSITION])

    def heads(self, attention: Attention, parts: tuple[Value, ...], rotation: Value | None) -> tuple[Value, ...]:
        """[B, heads, D] each."""
        if attention.reads_source:
            return parts
        total = attention.n_heads + 2 * attention.n_kv_heads
        fused = self.graph.reshape(self.joint(parts), DYNAMIC, total, attention.head_dim)
        return self.split_heads(attention, fused, rotation, axis=1)

    def append(self, attention: Attention, key: Value, value: Value) -> tuple[Value, Value]:
        """Keys and values [B, K, P + 1, D]: those of the past, and as the last the new ones, which are outputs."""
        return self._appended(attention, "key", KEY_CACHE, key), self._appended(attention, "value", VALUE_CACHE, value)

    def _appended(self, attention: Attention, kind: str, suffix: str, new: Value) -> Value:
        graph, name = self.graph, f"{kind}_{attention.index}"
        heads, width = attention.n_kv_heads, attention.head_dim
        self.new[f"new_{name}"] = row = graph.reshape(new, DYNAMIC, heads, 1, width)
        # Written into a buffer inside the graph (DYNAMIC_UPDATE_SLICE), each would end a partition of XNNPACK.
        past = self.inputs[f"past_{name}"]
        length = past.shape[2]
        shape = (row.shape[0], heads, length if length == DYNAMIC else length + 1, width)
        whole = graph.op("CONCATENATION", past, row, shape=shape, axis=2)
        return graph.expose(whole, attention.name + suffix, layout="heads")

    def recall(self, attention: Attention) -> tuple[Value, Value]:
        """Inputs: keys and values [B, K, S, D] of the source."""
        return self.inputs[f"cross_key_{attention.index}"], self.inputs[f"cross_value_{attention.index}"]

    def attend(
        self, attention: Attention, query: Value, key: Value, value: Value, mask: Value | None, bias: Value | None
    ) -> Value:
        """[B, H·D] from a query [B, H·D] or [B, H, D]."""
        graph = self.graph
        grouped = graph.reshape(query, DYNAMIC, attention.n_kv_heads, attention.group, attention.head_dim)
        attended = self.scores_and_values(attention, grouped, key, value, bias, mask)
        return graph.expose(graph.reshape(attended, DYNAMIC, attention.width), attention.name)

    def log_total(self, logits: Value) -> Value:
        """[B, 1], the logarithm of the sum of the exponentials of logits [B, V]."""
        graph, shape = self.graph, (logits.shape[0], 1)
        largest = graph.op("REDUCE_MAX", logits, graph.integers(1), shape=shape, keepDims=True)
        shares = graph.op("EXP", graph.binary("SUB", logits, largest), shape=logits.shape)
        total = graph.op("SUM", shares, graph.integers(1), shape=shape, keepDims=True)
        return graph.binary("ADD", graph.op("LOG", total, shape=shape), largest)

    def ssru(self, block: Ssru, candidate: Value, forget: Value) -> Value:
        """[B, d_model]; the new state is an output."""
        graph = self.graph
        candidate, forget = self.halves(self.joint((candidate, forget)))
        share = graph.op("LOGISTIC", forget, shape=forget.shape)
        kept = graph.binary("MUL", share, self.inputs[f"past_cell_{block.index}"])
        taken = graph.binary("MUL", graph.binary("SUB", graph.scalar(1.0), share), candidate)
        cell = graph.binary("ADD", kept, taken)
        graph.expose(cell, block.name + CELL)
        self.new[f"new_cell_{block.index}"] = cell
        return graph.expose(graph.op("RELU", cell, shape=cell.shape), block.name)
