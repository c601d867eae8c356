"""The graphs of the ORT profile: an encoder, and a decoder that reads one token a call, for few rows or many.

Owns what differs between them; decoders over candidate tokens are in `lingolite_onnx.ort.candidate_graphs`. The order
of layers is that of `lingolite_cli.architecture.network`. B batch, S source, H heads, K key/value heads, D head_dim,
V vocabulary, L positions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.architecture import Relative
from lingolite_cli.architecture.network import decode, encode, read_source
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, Layer, Ssru
from lingolite_cli.architecture.positions import decoder_buckets, encoder_buckets
from lingolite_cli.architecture.recording import CELL, KEY_CACHE, OUTPUT_PROJECTION, VALUE_CACHE, positions_name
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import RUNTIME_DOMAIN, BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.interface import LOGITS, MASKED
from lingolite_onnx.ort.calibrated import CalibratedProducts
from lingolite_onnx.ort.emitter import Lengths, OrtEmitter
from lingolite_onnx.ort.interface import ort_decoder_interface, ort_encoder_interface
from lingolite_onnx.ort.many_rows import ManyRows, ManyRowsOfBlocks
from lingolite_onnx.ort.products import FewRows, Products
from lingolite_onnx.ort.top_k import add_top_k, add_top_k_by_blocks
from lingolite_onnx.source_outputs import output_source

ChooseTokens: TypeAlias = Callable[[GraphBuilder, str], None]


def build_ort_encoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `ort_encoder_interface`, for at most `num_positions` source tokens."""
    products = products_of(weights, GraphBuilder("encoder", weight_file), otherwise=ManyRows)
    emitter = _Encoder(weights, products, num_positions=num_positions)
    read_source(emitter, emitter.parts, encode(emitter, emitter.parts, "source_ids", "source_mask"))
    emitter.add_source_bias()
    return products.graph.finish(ort_encoder_interface(weights.config), opset_version=opset_version)


def build_ort_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `ort_decoder_interface`, for at most `num_positions` target tokens and a few rows."""
    products = products_of(weights, GraphBuilder("decoder", weight_file), otherwise=FewRows)
    emitter = DecoderEmitter(weights, products, num_positions=num_positions, choose=add_top_k)
    return _decoder(emitter, opset_version)


def build_batch_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The same for many rows, over the same bytes in `weight_file`."""
    products = products_of(weights, GraphBuilder("decoder", weight_file), otherwise=ManyRowsOfBlocks)
    choose = partial(add_top_k_by_blocks, vocab_size=weights.config.vocab_size)
    return _decoder(DecoderEmitter(weights, products, num_positions=num_positions, choose=choose), opset_version)


def products_of(weights: Weights, graph: GraphBuilder, *, otherwise: type[Products]) -> Products:
    """The products of a graph: those for calibrated activations where the weights have such, else `otherwise`."""
    kind = CalibratedProducts if weights.activations == "calibrated" else otherwise
    return kind(graph, weights.config.activation)


def _decoder(emitter: DecoderEmitter, opset_version: int) -> BuiltGraph:
    decode(emitter, emitter.parts, "tokens", "source_bias")
    return emitter.graph.finish(ort_decoder_interface(emitter.architecture), opset_version=opset_version)


class _Encoder(OrtEmitter):
    """Operations of the encoder. Hidden states are [B·S, d_model], so that activations are rounded token by token.

    Its products are those for many rows, with matrices of its own that no decoder shares: source tokens are never few.
    """

    def __init__(self, weights: Weights, products: Products, *, num_positions: int) -> None:
        super().__init__(weights, products, num_positions=num_positions)
        self._sizes = self.graph.op("Shape", "source_ids")

    def mask(self, mask: str) -> str:
        """GroupQueryAttention takes lengths. A row of nothing but padding counts as one token, because it has no empty
        rows."""
        graph = self.graph
        counted = graph.op("Cast", mask, to=TensorProto.INT32)
        tokens = graph.op("ReduceSum", counted, graph.integers(-1), keepdims=0)
        last = graph.op("Sub", tokens, graph.constant(np.int32(1)))
        longest = graph.op("Gather", self._sizes, graph.scalar_integer(1), axis=0)
        self._lengths = Lengths(
            graph.op("Max", last, graph.constant(np.int32(0))), graph.op("Cast", longest, to=TensorProto.INT32)
        )
        return mask

    def _places(self) -> str:
        """[S] int64, 0 to S - 1."""
        graph = self.graph
        length = graph.op("Gather", self._sizes, graph.scalar_integer(1), axis=0)
        return graph.op("Range", graph.scalar_integer(0), length, graph.scalar_integer(1))

    def relative_bias(self, stack: Encoder | Decoder) -> str:
        """[1, H, S, S]."""
        graph, kind = self.graph, self.architecture.positions
        assert isinstance(kind, Relative)
        table, places = self.bias_table(stack, encoder_buckets(kind, self.num_positions)), self._places()
        queries = graph.op("Unsqueeze", places, graph.integers(1))
        distances = graph.op("Sub", graph.op("Unsqueeze", places, graph.integers(0)), queries)
        rows = graph.op("Add", distances, graph.scalar_integer(self.num_positions - 1))
        return graph.op("Unsqueeze", graph.op("Gather", table, rows, axis=1), graph.integers(0))

    def embed(self, table: Layer, ids: str, scale: float) -> str:
        """[B·S, d_model] from ids [B, S]."""
        return super().embed(table, self.graph.op("Reshape", ids, self.graph.integers(-1)), scale)

    def positions(self, x: str, stack: Encoder | Decoder) -> str:
        """x [B·S, d_model] with the vectors of positions 0 to S - 1."""
        graph, width = self.graph, self.architecture.d_model
        placed = graph.op("Add", self._by_row(x, width), self.position_rows(stack, self._places()))
        return graph.expose(graph.op("Reshape", placed, graph.integers(-1, width)), positions_name(stack))

    def _by_row(self, x: str, *widths: int) -> str:
        """[B, S, *widths] from [B·S, …]."""
        shape = self.graph.op("Concat", self._sizes, self.graph.integers(*widths), axis=0)
        return self.graph.op("Reshape", x, shape)

    def linear(self, x: str, *layers: Layer) -> tuple[str, ...]:
        """As of any graph; keys and values of the source for all decoder layers come by head, from one product."""
        parts = super().linear(x, *layers)
        if layers[0].role != "key":
            return parts
        graph, kv_heads = self.graph, self.architecture.n_kv_heads
        by_row = self._by_row(self.joint(parts), len(layers) * kv_heads, self.architecture.head_dim)
        sizes = graph.integers(*[kv_heads] * len(layers))
        return tuple(graph.ops("Split", by_row, sizes, names=[None] * len(layers), axis=2))

    def attend(self, attention: Attention, query: str, key: str, value: str, mask: str | None, bias: str | None) -> str:
        """[B·S, H·D]."""
        graph = self.graph
        width = attention.width + 2 * attention.n_kv_heads * attention.head_dim
        attended = self.grouped_query_attention(
            attention,
            self._by_row(self.joint((query, key, value)), width),
            self._lengths,
            past=("", ""),
            present=(None, None),
            is_causal=False,
            bias=bias,
        )
        return graph.expose(graph.op("Reshape", attended, graph.integers(-1, attention.width)), attention.name)

    def keep(self, attention: Attention, key: str, value: str) -> None:
        """Outputs: keys [B, K, D, S] and values [B, K, S, D] of a decoder layer."""
        output_source(self.graph, attention, key, value)

    def add_source_bias(self) -> None:
        """The output that hides padding from the decoder."""
        graph = self.graph
        bias = graph.op("Where", "source_mask", graph.scalar(0.0), graph.scalar(MASKED))
        graph.op("Unsqueeze", bias, graph.integers(1, 2), name="source_bias")


class DecoderEmitter(OrtEmitter):
    """Operations of a decoder. Hidden states are [B, 1, d_model].

    Args:
        choose: adds the outputs `top_ids` and `top_log_probabilities` for the logits.
    """

    def __init__(self, weights: Weights, products: Products, *, num_positions: int, choose: ChooseTokens) -> None:
        super().__init__(weights, products, num_positions=num_positions)
        self._choose = choose

    def mask(self, mask: str) -> str:
        """The encoder has made what is added to scores."""
        return mask

    def causal(self) -> None:
        """The decoder reads one token a call."""

    def positions(self, x: str, stack: Encoder | Decoder) -> str:
        """x [B, 1, d_model] with the vector of its position, which all rows share."""
        position = self.graph.op("Sub", "total_length", self.graph.constant(np.int32(1)))
        placed = self.graph.op("Add", x, self.position_rows(stack, position))
        return self.graph.expose(placed, positions_name(stack))

    def relative_bias(self, stack: Encoder | Decoder) -> str:
        """[1, H, 1, total length]: the bias of the distances from the first token to none."""
        graph, kind = self.graph, self.architecture.positions
        assert isinstance(kind, Relative)
        table = self.bias_table(stack, decoder_buckets(kind, self.num_positions)[::-1])
        total = graph.op("Reshape", graph.op("Cast", "total_length", to=TensorProto.INT64), graph.integers(1))
        start = graph.op("Sub", graph.integers(self.num_positions), total)
        by_head = graph.op("Slice", table, start, graph.integers(self.num_positions), graph.integers(1))
        return graph.op("Unsqueeze", by_head, graph.integers(0, 2))

    def append(self, attention: Attention, key: str, value: str) -> tuple[str, str]:
        """GroupQueryAttention appends by itself, in place."""
        return key, value

    def recall(self, attention: Attention) -> tuple[str, str]:
        """Inputs: keys [B, K, D, S] and values [B, K, S, D] of the source."""
        return f"cross_key_{attention.index}", f"cross_value_{attention.index}"

    def attend(self, attention: Attention, query: str, key: str, value: str, mask: str | None, bias: str | None) -> str:
        """[B, 1, H·D]."""
        if attention.reads_source:
            assert mask is not None
            attended = self._read(attention, query, key, value, mask)
        else:
            attended = self._attend_to_target(attention, self.joint((query, key, value)), bias)
        return self.graph.expose(attended, attention.name)

    def _attend_to_target(self, attention: Attention, fused: str, bias: str | None) -> str:
        index = attention.index
        present = (f"present_key_{index}", f"present_value_{index}")
        attended = self.grouped_query_attention(
            attention,
            fused,
            Lengths("past_lengths", "total_length"),
            past=(f"past_key_{index}", f"past_value_{index}"),
            present=present,
            is_causal=True,
            bias=bias,
        )
        self.graph.expose(present[0], attention.name + KEY_CACHE, layout="values")
        self.graph.expose(present[1], attention.name + VALUE_CACHE, layout="values")
        return attended

    def _read(self, attention: Attention, query: str, transposed_key: str, value: str, bias: str) -> str:
        """Attention of one query a row, [B, 1, H·D], to a source; `bias` [B, 1, 1, S] hides padding.

        The queries of a group lie together as [B, K, G, D], so no key or value is repeated. GroupQueryAttention over
        keys and values as a cache that is already full would be about as fast.
        """
        graph = self.graph
        shape = graph.integers(-1, attention.n_kv_heads, attention.group, attention.head_dim)
        grouped = graph.op("Reshape", query, shape)
        shares = graph.op("Softmax", graph.op("Add", self._scores(attention, grouped, transposed_key), bias), axis=-1)
        attended = graph.op("MatMul", shares, value)
        return graph.op("Reshape", attended, graph.integers(-1, 1, attention.width))

    def _scores(self, attention: Attention, grouped: str, transposed_key: str) -> str:
        """[B, K, G, S].

        ONNX Runtime multiplies a single query fast where the product has no factor of its own. It would take a number
        that queries are scaled by for such a factor, so they are scaled by a vector.
        """
        graph, scale = self.graph, float(attention.scale)
        if attention.group > 1:
            return graph.op("FusedMatMul", grouped, transposed_key, domain=RUNTIME_DOMAIN, alpha=scale)
        if scale != 1.0:
            factors = graph.constant(np.full(attention.head_dim, scale, np.float32))
            grouped = graph.op("Mul", grouped, factors)
        return graph.op("MatMul", grouped, transposed_key)

    def ssru(self, block: Ssru, candidate: str, forget: str) -> str:
        """[B, 1, d_model]; the state [B, 1, 1, d_model] is as keys and values are, of one head and one position."""
        graph, index = self.graph, block.index
        by_row = graph.op("Reshape", self.joint((candidate, forget)), graph.integers(-1, 1, 1, 2 * block.width))
        candidate, forget = graph.ops("Split", by_row, names=[None, None], axis=-1, num_outputs=2)
        share = graph.op("Sigmoid", forget)
        # f · c + (1 - f) · x as x + f · (c - x): one operator less.
        change = graph.op("Mul", share, graph.op("Sub", f"past_cell_{index}", candidate))
        cell = graph.op("Add", candidate, change, name=f"present_cell_{index}")
        graph.expose(cell, block.name + CELL)
        output = graph.op("Reshape", graph.op("Relu", cell), graph.integers(-1, 1, block.width))
        return graph.expose(output, block.name)

    def project(self, x: str, projection: Layer) -> str:
        """Logits, and the best tokens."""
        logits = self.graph.expose(self.logits(x, projection, output=LOGITS), OUTPUT_PROJECTION)
        self._choose(self.graph, logits)
        return logits
