"""The graphs of the ORT profile: an encoder, and a decoder that reads one token a call, for few rows or many.

Owns the order of layers in each graph; what a layer computes is in `lingolite_onnx.ort.layers`. B batch, S source,
H heads, K key/value heads, D head_dim, V vocabulary, N candidate tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.tensors import KEY_CACHE, OUTPUT_PROJECTION, SUM, VALUE_CACHE, AttentionNames
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import RUNTIME_DOMAIN, BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.interface import LOGITS, MASKED
from lingolite_onnx.ort.interface import (
    CANDIDATE_BIAS,
    CANDIDATE_ROWS,
    candidate_rows_interface,
    ort_decoder_interface,
    ort_encoder_interface,
    shortlist_interface,
)
from lingolite_onnx.ort.layers import Lengths, OrtLayers
from lingolite_onnx.ort.many_rows import ManyRows, ManyRowsOfBlocks
from lingolite_onnx.ort.products import FewRows, Products
from lingolite_onnx.ort.top_k import add_top_k, add_top_k_by_blocks

ChooseTokens: TypeAlias = Callable[[GraphBuilder, str], None]


def build_ort_encoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `ort_encoder_interface`, for at most `num_positions` source tokens."""
    graph = GraphBuilder("encoder", weight_file)
    _Encoder(OrtLayers(weights, ManyRows(graph), num_positions=num_positions)).build()
    return graph.finish(ort_encoder_interface(weights.config), opset_version=opset_version)


def build_ort_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `ort_decoder_interface`, for at most `num_positions` target tokens and a few rows."""
    layers = OrtLayers(weights, FewRows(GraphBuilder("decoder", weight_file)), num_positions=num_positions)
    _Decoder(layers, add_top_k).build()
    return layers.graph.finish(ort_decoder_interface(weights.config), opset_version=opset_version)


def build_batch_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The same for many rows, over the same bytes in `weight_file`."""
    products = ManyRowsOfBlocks(GraphBuilder("decoder", weight_file))
    layers = OrtLayers(weights, products, num_positions=num_positions)
    _Decoder(layers, partial(add_top_k_by_blocks, vocab_size=weights.config.vocab_size)).build()
    return layers.graph.finish(ort_decoder_interface(weights.config), opset_version=opset_version)


def build_candidate_rows(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `candidate_rows_interface`, over the same bytes in `weight_file`."""
    graph = GraphBuilder("words", weight_file)
    OrtLayers(weights, FewRows(graph), num_positions=num_positions).projection_rows("words", output=CANDIDATE_ROWS)
    return graph.finish(candidate_rows_interface(weights.config), opset_version=opset_version)


def build_shortlist_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `shortlist_interface` for a few rows, over the same bytes in `weight_file`."""
    return _shortlist_decoder(weights, FewRows(GraphBuilder("decoder", weight_file)), num_positions, opset_version)


def build_shortlist_batch_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The same for many rows."""
    products = ManyRowsOfBlocks(GraphBuilder("decoder", weight_file))
    return _shortlist_decoder(weights, products, num_positions, opset_version)


def _shortlist_decoder(weights: Weights, products: Products, num_positions: int, opset_version: int) -> BuiltGraph:
    _ShortlistDecoder(OrtLayers(weights, products, num_positions=num_positions), add_top_k).build()
    return products.graph.finish(shortlist_interface(weights.config), opset_version=opset_version)


class _Encoder:
    """Nodes of the encoder. Hidden states are [B·S, d_model], so that activations are rounded token by token.

    Its products are those for many rows, with matrices of its own that no decoder shares: source tokens are never few.
    """

    def __init__(self, layers: OrtLayers) -> None:
        self._layers = layers
        self._graph = layers.graph
        self._config = layers.config

    def build(self) -> None:
        graph, layers, names = self._graph, self._layers, self._layers.names.encoder
        self._sizes = graph.op("Shape", "source_ids")
        lengths = self._lengths()
        x = layers.embedding(graph.op("Reshape", "source_ids", graph.integers(-1)), names.embedding)
        for index, layer in enumerate(names.layers):
            with graph.scope(f"layers.{index}"):
                normed = layers.norm(x, layer.self_attention_norm)
                x = self._self_attention(normed, layer.self_attention, lengths, residual=x)
                x = layers.feed_forward_plus(layers.norm(x, layer.feed_forward_norm), layer.feed_forward, x)
        self._source(layers.norm(x, names.output_norm))

    def _lengths(self) -> Lengths:
        """A row of nothing but padding counts as one token, because GroupQueryAttention has no empty rows."""
        graph = self._graph
        counted = graph.op("Cast", "source_mask", to=TensorProto.INT32)
        tokens = graph.op("ReduceSum", counted, graph.integers(-1), keepdims=0)
        last = graph.op("Sub", tokens, graph.constant(np.int32(1)))
        longest = graph.op("Gather", self._sizes, graph.scalar_integer(1), axis=0)
        return Lengths(
            graph.op("Max", last, graph.constant(np.int32(0))), graph.op("Cast", longest, to=TensorProto.INT32)
        )

    def _self_attention(self, x: str, names: AttentionNames, lengths: Lengths, *, residual: str) -> str:
        graph, config = self._graph, self._config
        fused = self._layers.linear(x, *names.query_key_value)
        width = (config.n_heads + 2 * config.n_kv_heads) * config.head_dim
        by_row = graph.op("Reshape", fused, graph.op("Concat", self._sizes, graph.integers(width), axis=0))
        attended = self._layers.self_attention(by_row, lengths, past=("", ""), present=(None, None), is_causal=False)
        flat = graph.expose(graph.op("Reshape", attended, graph.integers(-1, config.d_model)), names.name)
        return graph.expose(self._layers.linear_plus(flat, names.output, residual), names.name + SUM)

    def _source(self, encoded: str) -> None:
        """What the decoder reads of a source: keys [B, K, D, S] and values [B, K, S, D] of all layers, by one product,
        and the bias."""
        graph, config = self._graph, self._config
        names = self._layers.names.cross_attention_inputs
        fused = self._layers.linear(encoded, *names)
        heads = graph.integers(len(names) * config.n_kv_heads, config.head_dim)
        by_row = graph.op("Reshape", fused, graph.op("Concat", self._sizes, heads, axis=0))
        sizes = graph.integers(*[config.n_kv_heads] * len(names))
        parts = graph.ops("Split", by_row, sizes, names=[None] * len(names), axis=2)
        for layer, decoder_layer in enumerate(self._layers.names.decoder.layers):
            key, value = parts[2 * layer : 2 * layer + 2]
            key = graph.op("Transpose", key, perm=[0, 2, 3, 1], name=f"cross_key_{layer}")
            value = graph.op("Transpose", value, perm=[0, 2, 1, 3], name=f"cross_value_{layer}")
            graph.expose(key, decoder_layer.cross_attention.name + KEY_CACHE, layout="keys")
            graph.expose(value, decoder_layer.cross_attention.name + VALUE_CACHE, layout="values")
        bias = graph.op("Where", "source_mask", graph.scalar(0.0), graph.scalar(MASKED))
        graph.op("Unsqueeze", bias, graph.integers(1, 2), name="source_bias")


class _Decoder:
    """Nodes of a decoder. Hidden states are [B, 1, d_model].

    Args:
        choose: adds the outputs `top_ids` and `top_log_probabilities` for the logits.
    """

    def __init__(self, layers: OrtLayers, choose: ChooseTokens) -> None:
        self._choose = choose
        self._layers = layers
        self._graph = layers.graph
        self._config = layers.config

    def build(self) -> None:
        graph, layers, names = self._graph, self._layers, self._layers.names.decoder
        x = layers.embedding("tokens", names.embedding)
        for index, layer in enumerate(names.layers):
            with graph.scope(f"layers.{index}"):
                normed = layers.norm(x, layer.self_attention_norm)
                x = self._self_attention(normed, layer.self_attention, index=index, residual=x)
                normed = layers.norm(x, layer.cross_attention_norm)
                x = self._cross_attention(normed, layer.cross_attention, index=index, residual=x)
                x = layers.feed_forward_plus(layers.norm(x, layer.feed_forward_norm), layer.feed_forward, x)
        self._predict(layers.norm(x, names.output_norm))

    def _predict(self, normed: str) -> None:
        logits = self._layers.projection(normed, output=LOGITS)
        self._choose(self._graph, self._graph.expose(logits, OUTPUT_PROJECTION))

    def _self_attention(self, x: str, names: AttentionNames, *, index: int, residual: str) -> str:
        fused = self._layers.linear(x, *names.query_key_value)
        attended = self._layers.self_attention(
            fused,
            Lengths("past_lengths", "total_length"),
            past=(f"past_key_{index}", f"past_value_{index}"),
            present=(f"present_key_{index}", f"present_value_{index}"),
            is_causal=True,
        )
        graph = self._graph
        graph.expose(f"present_key_{index}", names.name + KEY_CACHE, layout="values")
        graph.expose(f"present_value_{index}", names.name + VALUE_CACHE, layout="values")
        return self._output(attended, names, residual)

    def _cross_attention(self, x: str, names: AttentionNames, *, index: int, residual: str) -> str:
        query = self._layers.linear(x, names.query)
        attended = self._layers.cross_attention(query, f"cross_key_{index}", f"cross_value_{index}", "source_bias")
        return self._output(attended, names, residual)

    def _output(self, attended: str, names: AttentionNames, residual: str) -> str:
        total = self._layers.linear_plus(self._graph.expose(attended, names.name), names.output, residual)
        return self._graph.expose(total, names.name + SUM)


class _ShortlistDecoder(_Decoder):
    """A decoder whose logits are those of the candidate tokens of a batch, in float32: they are too few to be worth
    rounding for.

    A candidate of another row only has the logit of an impossible token, so that no row depends on its batch-mates.
    """

    def _predict(self, normed: str) -> None:
        product = self._graph.op("FusedMatMul", normed, CANDIDATE_ROWS, domain=RUNTIME_DOMAIN, transB=1)
        self._choose(self._graph, self._graph.op("Add", product, CANDIDATE_BIAS, name=LOGITS))
