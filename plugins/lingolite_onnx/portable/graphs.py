"""The two portable graphs: an encoder that also prepares cross-attention, and a decoder that reads one token a call.

Owns what differs between them: the layout of heads, positions, and what is kept. The order of layers is that of
`lingolite_cli.architecture.network`. B batch, S source, P past, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

from lingolite_cli.architecture.architecture import Relative
from lingolite_cli.architecture.network import decode, encode, read_source
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, Layer, Ssru
from lingolite_cli.architecture.positions import decoder_buckets, encoder_buckets
from lingolite_cli.architecture.recording import CELL, KEY_CACHE, VALUE_CACHE
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.portable.emitter import PortableEmitter
from lingolite_onnx.portable.interface import (
    POSITION,
    portable_decoder_interface,
    portable_encoder_interface,
    reads_position,
)
from lingolite_onnx.source_outputs import output_source


def build_portable_encoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int, is_exact: bool
) -> BuiltGraph:
    """The graph of `portable_encoder_interface`, for at most `num_positions` source tokens."""
    graph = GraphBuilder("encoder", weight_file)
    emitter = _Encoder(graph, weights, num_positions=num_positions, is_exact=is_exact)
    read_source(emitter, emitter.parts, encode(emitter, emitter.parts, "source_ids", "source_mask"))
    return graph.finish(portable_encoder_interface(weights.config), opset_version=opset_version)


def build_portable_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int, is_exact: bool
) -> BuiltGraph:
    """The graph of `portable_decoder_interface`, for at most `num_positions` target tokens."""
    graph = GraphBuilder("decoder", weight_file)
    emitter = _Decoder(graph, weights, num_positions=num_positions, is_exact=is_exact)
    decode(emitter, emitter.parts, "tokens", "source_mask")
    return graph.finish(portable_decoder_interface(weights.config), opset_version=opset_version)


class _Encoder(PortableEmitter):
    """Operations of the encoder, whose heads are [B, S, heads, D]."""

    def __init__(self, graph: GraphBuilder, weights: Weights, *, num_positions: int, is_exact: bool) -> None:
        super().__init__(graph, weights, num_positions=num_positions, is_exact=is_exact)
        self._sizes = graph.op("Shape", "source_ids")

    def rotation(self, stack: Encoder | Decoder) -> str:
        """Tables [S, 1, D] of positions 0 to S - 1."""
        return self.rotation_at(self._places())

    def _places(self) -> str:
        """[S] int64, 0 to S - 1."""
        graph = self.graph
        length = graph.op("Gather", self._sizes, graph.scalar_integer(1), axis=0)
        return graph.op("Range", graph.scalar_integer(0), length, graph.scalar_integer(1))

    def relative_bias(self, stack: Encoder | Decoder) -> str:
        """[1, K, G·S, S], as `scores_and_values` has its scores."""
        graph, kind, architecture = self.graph, self.architecture.positions, self.architecture
        assert isinstance(kind, Relative)
        table = self.bias_table(stack, encoder_buckets(kind, self.num_positions))
        places = self._places()
        queries = graph.op("Unsqueeze", places, graph.integers(1))
        distances = graph.op("Sub", graph.op("Unsqueeze", places, graph.integers(0)), queries)
        rows = graph.op("Add", distances, graph.scalar_integer(self.num_positions - 1))
        by_head = graph.op("Gather", table, rows, axis=1)
        length = graph.op("Shape", places)
        shape = graph.op("Concat", graph.integers(1, architecture.n_kv_heads, -1), length, axis=0)
        return graph.op("Reshape", by_head, shape)

    def embed(self, table: Layer, ids: str, scale: float) -> str:
        """[B·S, d_model] from ids [B, S]."""
        return super().embed(table, self.graph.op("Reshape", ids, self.graph.integers(-1)), scale)

    def positions(self, x: str, stack: Encoder | Decoder) -> str:
        """x [B·S, d_model] with the vectors of positions 0 to S - 1."""
        graph, width = self.graph, self.architecture.d_model
        shape = graph.op("Concat", self._sizes, graph.integers(width), axis=0)
        placed = graph.op("Add", graph.op("Reshape", x, shape), self.position_rows(stack, self._places()))
        return self.expose_positions(graph.op("Reshape", placed, graph.integers(-1, width)), stack)

    def linear(self, x: str, *layers: Layer) -> tuple[str, ...]:
        """As of any graph; keys and values of the source for all decoder layers come by head, from one product."""
        if layers[0].role != "key":
            return super().linear(x, *layers)
        graph, kv_heads = self.graph, self.architecture.n_kv_heads
        graph.enter("cross")
        fused = self._by_batch(self.joint(super().linear(x, *layers)), len(layers) * kv_heads)
        parts = self.split(fused, [kv_heads] * len(layers), axis=2)
        graph.enter(None)
        return tuple(parts)

    def _by_batch(self, x: str, heads: int) -> str:
        """[B, S, heads, D] from [B·S, heads·D]."""
        graph = self.graph
        shape = graph.op("Concat", self._sizes, graph.integers(heads, self.architecture.head_dim), axis=0)
        return graph.op("Reshape", x, shape)

    def heads(self, attention: Attention, parts: tuple[str, ...], rotation: str | None) -> tuple[str, ...]:
        """[B, S, heads, D] each."""
        if attention.reads_source:
            return parts
        by_head = self._by_batch(self.joint(parts), attention.n_heads + 2 * attention.n_kv_heads)
        return self.split_heads(attention, by_head, rotation, axis=2)

    def attend(self, attention: Attention, query: str, key: str, value: str, mask: str | None, bias: str | None) -> str:
        """[B·S, H·D] from heads [B, S, heads, D]."""
        graph, heads, kv_heads, width = self.graph, attention.n_heads, attention.n_kv_heads, attention.head_dim
        query = graph.op("Transpose", query, perm=[0, 2, 1, 3])
        # Heads of a group are neighbours, so [B, H, S, D] is [B, K, G·S, D] without moving anything. 0 keeps a size.
        grouped = graph.op("Reshape", query, graph.integers(0, kv_heads, -1, width))
        transposed_key = graph.op("Transpose", key, perm=[0, 2, 3, 1])
        value = graph.op("Transpose", value, perm=[0, 2, 1, 3])
        attended = self.scores_and_values(attention, grouped, transposed_key, value, bias, mask)
        shape = graph.op(
            "Concat",
            graph.integers(0, heads),
            graph.op("Slice", self._sizes, graph.integers(1), graph.integers(2)),
            graph.integers(width),
            axis=0,
        )
        by_head = graph.op("Reshape", attended, shape)
        joined = graph.op("Transpose", by_head, perm=[0, 2, 1, 3])
        return graph.expose(graph.op("Reshape", joined, graph.integers(-1, attention.width)), attention.name)

    def keep(self, attention: Attention, key: str, value: str) -> None:
        """Outputs: keys [B, K, D, S] and values [B, K, S, D] of a decoder layer."""
        output_source(self.graph, attention, key, value)


class _Decoder(PortableEmitter):
    """Operations of the decoder, whose heads are [B, heads, D], and [B, K, G, D] for attention."""

    def rotation(self, stack: Encoder | Decoder) -> str:
        """Tables [1, 1, D] of position P."""
        return self.rotation_at(self._position())

    def _position(self) -> str:
        """[1] int64, P: the length of the past, where something of the past has a length."""
        if reads_position(self.architecture):
            return POSITION
        return self.graph.op("Shape", "past_value_0", start=2, end=3)

    def relative_bias(self, stack: Encoder | Decoder) -> str:
        """[1, K, G, P + 1]: the bias of the distances P to 0."""
        graph, kind, architecture = self.graph, self.architecture.positions, self.architecture
        assert isinstance(kind, Relative)
        table = self.bias_table(stack, decoder_buckets(kind, self.num_positions)[::-1])
        start = graph.op("Sub", graph.integers(self.num_positions - 1), self._position())
        by_head = graph.op("Slice", table, start, graph.integers(self.num_positions), graph.integers(1))
        kv_heads = architecture.n_kv_heads
        return graph.op("Reshape", by_head, graph.integers(1, kv_heads, architecture.n_heads // kv_heads, -1))

    def positions(self, x: str, stack: Encoder | Decoder) -> str:
        """x [B, d_model] with the vector of position P."""
        return self.expose_positions(self.graph.op("Add", x, self.position_rows(stack, self._position())), stack)

    def heads(self, attention: Attention, parts: tuple[str, ...], rotation: str | None) -> tuple[str, ...]:
        """[B, heads, D] each."""
        if attention.reads_source:
            return parts
        total = attention.n_heads + 2 * attention.n_kv_heads
        fused = self.graph.op("Reshape", self.joint(parts), self.graph.integers(-1, total, attention.head_dim))
        return self.split_heads(attention, fused, rotation, axis=1)

    def append(self, attention: Attention, key: str, value: str) -> tuple[str, str]:
        """Keys [B, K, D, P + 1] and values [B, K, P + 1, D], which are outputs."""
        graph, index = self.graph, attention.index
        # Keys are cached transposed, so that no step transposes the whole past.
        key = graph.op("Unsqueeze", key, graph.integers(3))
        value = graph.op("Unsqueeze", value, graph.integers(2))
        key = graph.op("Concat", f"past_key_{index}", key, axis=3, name=f"present_key_{index}")
        value = graph.op("Concat", f"past_value_{index}", value, axis=2, name=f"present_value_{index}")
        graph.expose(key, attention.name + KEY_CACHE, layout="keys")
        graph.expose(value, attention.name + VALUE_CACHE, layout="values")
        return key, value

    def recall(self, attention: Attention) -> tuple[str, str]:
        """Inputs: keys [B, K, D, S] and values [B, K, S, D] of the source."""
        return f"cross_key_{attention.index}", f"cross_value_{attention.index}"

    def attend(self, attention: Attention, query: str, key: str, value: str, mask: str | None, bias: str | None) -> str:
        """[B, H·D] from a query [B, H·D] or [B, H, D]."""
        graph = self.graph
        shape = graph.integers(-1, attention.n_kv_heads, attention.group, attention.head_dim)
        grouped = graph.op("Reshape", query, shape)
        attended = self.scores_and_values(attention, grouped, key, value, bias, mask)
        flat = graph.op("Reshape", attended, graph.integers(-1, attention.width))
        return graph.expose(flat, attention.name)

    def ssru(self, block: Ssru, candidate: str, forget: str) -> str:
        """[B, d_model]; the new state is an output."""
        graph = self.graph
        candidate, forget = graph.ops(
            "Split", self.joint((candidate, forget)), names=[None, None], axis=-1, num_outputs=2
        )
        share = self.sigmoid(self.exact(forget))
        kept = graph.op("Mul", share, self.exact(f"past_cell_{block.index}"))
        taken = graph.op("Mul", graph.op("Sub", self.scalar(1.0), share), self.exact(candidate))
        cell = self.rounded_sum(kept, taken, f"present_cell_{block.index}")
        graph.expose(cell, block.name + CELL)
        return graph.expose(graph.op("Relu", cell), block.name)
