"""The two graphs: an encoder that also prepares cross-attention, and a decoder that reads one token a call.

Owns the order of layers in each graph; what a layer computes is in `lingolite_onnx.portable.layers`. B batch, S source,
P past, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.architecture.tensors import (
    KEY_CACHE,
    ROTATED_KEY,
    ROTATED_QUERY,
    VALUE_CACHE,
    AttentionNames,
)
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.portable.interface import portable_decoder_interface, portable_encoder_interface
from lingolite_onnx.portable.layers import PortableLayers, Rotation


def build_portable_encoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int, is_exact: bool
) -> BuiltGraph:
    """The graph of `portable_encoder_interface`, for at most `num_positions` source tokens."""
    graph = GraphBuilder("encoder", weight_file)
    _Encoder(PortableLayers(graph, weights, is_exact=is_exact), num_positions).build()
    return graph.finish(portable_encoder_interface(weights.config), opset_version=opset_version)


def build_portable_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int, is_exact: bool
) -> BuiltGraph:
    """The graph of `portable_decoder_interface`, for at most `num_positions` target tokens."""
    graph = GraphBuilder("decoder", weight_file)
    _Decoder(PortableLayers(graph, weights, is_exact=is_exact), num_positions).build()
    return graph.finish(portable_decoder_interface(weights.config), opset_version=opset_version)


class _Encoder:
    """Nodes of the encoder."""

    def __init__(self, layers: PortableLayers, num_positions: int) -> None:
        self._layers = layers
        self._graph = layers.graph
        self._config = layers.config
        self._num_positions = num_positions

    def build(self) -> None:
        graph, layers, names = self._graph, self._layers, self._layers.names.encoder
        self._sizes = graph.op("Shape", "source_ids")
        rotation = self._rotation()
        mask = layers.mask("source_mask")
        x = layers.embedding(graph.op("Reshape", "source_ids", graph.integers(-1)), names.embedding)
        for index, layer in enumerate(names.layers):
            with graph.scope(f"layers.{index}"):
                normed = layers.norm(x, layer.self_attention_norm)
                attended = self._self_attention(normed, layer.self_attention, rotation, mask)
                x = layers.add(x, attended, layer.self_attention.name)
                normed = layers.norm(x, layer.feed_forward_norm)
                x = layers.add(x, layers.feed_forward(normed, layer.feed_forward), layer.feed_forward.name)
        self._cross_attention(layers.norm(x, names.output_norm))

    def _rotation(self) -> Rotation:
        """Tables [S, 1, D] of positions 0 to S - 1."""
        graph = self._graph
        length = graph.op("Gather", self._sizes, graph.scalar_integer(1), axis=0)
        positions = graph.op("Range", graph.scalar_integer(0), length, graph.scalar_integer(1))
        tables = rotary_tables(self._config.head_dim, self._num_positions)
        return self._layers.rotation(tables, positions, head_axis=1)

    def _by_batch(self, x: str, heads: int) -> str:
        """[B, S, heads, D] from [B·S, heads·D]."""
        shape = self._graph.op("Concat", self._sizes, self._graph.integers(heads, self._config.head_dim), axis=0)
        return self._graph.op("Reshape", x, shape)

    def _self_attention(self, x: str, names: AttentionNames, rotation: Rotation, mask: str) -> str:
        graph, layers, config = self._graph, self._layers, self._config
        heads, kv_heads, width = config.n_heads, config.n_kv_heads, config.head_dim
        fused = layers.linear(x, *names.query_key_value)
        fused = self._by_batch(fused, heads + 2 * kv_heads)
        turning, value = layers.split_heads(fused, (heads + kv_heads, kv_heads), axis=2)
        turned = layers.rotate(turning, rotation)
        query, key = layers.split_heads(turned, (heads, kv_heads), axis=2)
        graph.expose(query, names.name + ROTATED_QUERY)
        graph.expose(key, names.name + ROTATED_KEY)
        query = graph.op("Transpose", query, perm=[0, 2, 1, 3])
        # Heads of a group are neighbours, so [B, H, S, D] is [B, K, G·S, D] without moving anything. 0 keeps a size.
        grouped = graph.op("Reshape", query, graph.integers(0, kv_heads, -1, width))
        transposed_key = graph.op("Transpose", key, perm=[0, 2, 3, 1])
        value = graph.op("Transpose", value, perm=[0, 2, 1, 3])
        attended = layers.attend(grouped, transposed_key, value, mask)
        shape = graph.op(
            "Concat",
            graph.integers(0, heads),
            graph.op("Slice", self._sizes, graph.integers(1), graph.integers(2)),
            graph.integers(width),
            axis=0,
        )
        by_head = graph.op("Reshape", attended, shape)
        joined = graph.op("Transpose", by_head, perm=[0, 2, 1, 3])
        flat = graph.expose(graph.op("Reshape", joined, graph.integers(-1, config.d_model)), names.name)
        return layers.linear(flat, names.output)

    def _cross_attention(self, encoded: str) -> None:
        """Cross-attention keys [B, K, D, S] and values [B, K, S, D] of every decoder layer, by one product."""
        graph, layers, config = self._graph, self._layers, self._config
        names = layers.names.cross_attention_inputs
        with graph.scope("cross"):
            fused = self._by_batch(layers.linear(encoded, *names), len(names) * config.n_kv_heads)
            parts = layers.split_heads(fused, [config.n_kv_heads] * len(names), axis=2)
        for layer, decoder_layer in enumerate(layers.names.decoder.layers):
            key, value = parts[2 * layer : 2 * layer + 2]
            key = graph.op("Transpose", key, perm=[0, 2, 3, 1], name=f"cross_key_{layer}")
            value = graph.op("Transpose", value, perm=[0, 2, 1, 3], name=f"cross_value_{layer}")
            graph.expose(key, decoder_layer.cross_attention.name + KEY_CACHE, layout="keys")
            graph.expose(value, decoder_layer.cross_attention.name + VALUE_CACHE, layout="values")


class _Decoder:
    """Nodes of the decoder."""

    def __init__(self, layers: PortableLayers, num_positions: int) -> None:
        self._layers = layers
        self._graph = layers.graph
        self._config = layers.config
        self._num_positions = num_positions

    def build(self) -> None:
        graph, layers, names = self._graph, self._layers, self._layers.names.decoder
        rotation = self._rotation()
        mask = layers.mask("source_mask")
        x = layers.embedding("tokens", names.embedding)
        for index, layer in enumerate(names.layers):
            with graph.scope(f"layers.{index}"):
                normed = layers.norm(x, layer.self_attention_norm)
                attended = self._self_attention(normed, layer.self_attention, rotation, index=index)
                x = layers.add(x, attended, layer.self_attention.name)
                normed = layers.norm(x, layer.cross_attention_norm)
                attended = self._cross_attention(normed, layer.cross_attention, mask, index=index)
                x = layers.add(x, attended, layer.cross_attention.name)
                normed = layers.norm(x, layer.feed_forward_norm)
                x = layers.add(x, layers.feed_forward(normed, layer.feed_forward), layer.feed_forward.name)
        layers.projection(layers.norm(x, names.output_norm))

    def _rotation(self) -> Rotation:
        """Tables [1, 1, D] of position P, the length of the past."""
        graph = self._graph
        length = graph.op("Shape", "past_value_0", start=2, end=3)
        tables = rotary_tables(self._config.head_dim, self._num_positions)
        return self._layers.rotation(tables, length, head_axis=1)

    def _self_attention(self, x: str, names: AttentionNames, rotation: Rotation, *, index: int) -> str:
        graph, layers, config = self._graph, self._layers, self._config
        heads, kv_heads, width = config.n_heads, config.n_kv_heads, config.head_dim
        fused = layers.linear(x, *names.query_key_value)
        fused = graph.op("Reshape", fused, graph.integers(-1, heads + 2 * kv_heads, width))
        turning, value = layers.split_heads(fused, (heads + kv_heads, kv_heads), axis=1)
        query, key = layers.split_heads(layers.rotate(turning, rotation), (heads, kv_heads), axis=1)
        graph.expose(query, names.name + ROTATED_QUERY)
        graph.expose(key, names.name + ROTATED_KEY)
        # Keys are cached as [B, K, D, P], transposed, so that no step transposes the whole past.
        key = graph.op("Unsqueeze", key, graph.integers(3))
        value = graph.op("Unsqueeze", value, graph.integers(2))
        key = graph.op("Concat", f"past_key_{index}", key, axis=3, name=f"present_key_{index}")
        value = graph.op("Concat", f"past_value_{index}", value, axis=2, name=f"present_value_{index}")
        graph.expose(key, names.name + KEY_CACHE, layout="keys")
        graph.expose(value, names.name + VALUE_CACHE, layout="values")
        return self._output(layers.attend(self._grouped(query), key, value, None), names)

    def _cross_attention(self, x: str, names: AttentionNames, mask: str, *, index: int) -> str:
        query = self._grouped(self._layers.linear(x, names.query))
        attended = self._layers.attend(query, f"cross_key_{index}", f"cross_value_{index}", mask)
        return self._output(attended, names)

    def _grouped(self, query: str) -> str:
        """[B, K, G, D] from [B, H·D] or [B, H, D]."""
        config = self._config
        group = config.n_heads // config.n_kv_heads
        shape = self._graph.integers(-1, config.n_kv_heads, group, config.head_dim)
        return self._graph.op("Reshape", query, shape)

    def _output(self, attended: str, names: AttentionNames) -> str:
        flat = self._graph.op("Reshape", attended, self._graph.integers(-1, self._config.d_model))
        return self._layers.linear(self._graph.expose(flat, names.name), names.output)
