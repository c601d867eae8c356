"""The graphs of the ORT profile over candidate tokens: the lookup of their rows of the output projection, and decoders
that choose from them.

Owns what differs from the decoders over the whole vocabulary. Each row has candidates of its own: with those of all
rows of a batch together, 32 sentences of a model with 32,000 tokens multiplied by 9,000 rows a step instead of 900.
B batch, V vocabulary, N candidate tokens of a row, P parts of a row of activations, each with a scale.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.network import decode
from lingolite_cli.architecture.parts import Layer, parts_of
from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.shortlist.candidates import IMPOSSIBLE
from lingolite_cli.weights.activations import MIDDLE
from lingolite_cli.weights.bundle import Matrix, Weights
from lingolite_onnx.graph import RUNTIME_DOMAIN, BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.interface import LOGITS
from lingolite_onnx.ort.blocks import blocks, parts_of_row
from lingolite_onnx.ort.emitter import OrtEmitter
from lingolite_onnx.ort.graphs import DecoderEmitter
from lingolite_onnx.ort.interface import (
    CANDIDATE_BIAS,
    CANDIDATE_ROWS,
    CANDIDATE_SCALES,
    CANDIDATES,
    IS_CANDIDATE,
    candidate_rows_interface,
    shortlist_interface,
)
from lingolite_onnx.ort.many_rows import ManyRowsOfBlocks, add_row_scales, add_zero_points
from lingolite_onnx.ort.products import FewRows, Products
from lingolite_onnx.ort.top_k import add_top_k_of_candidates


def candidate_parts(weights: Weights) -> int:
    """P for an int8 output projection; 0 for another, whose candidates are multiplied in float32."""
    matrix = _projection(weights)
    return parts_of_row(matrix.values.shape[1]) if isinstance(matrix, Matrix) and matrix.is_int8 else 0


def build_candidate_rows(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `candidate_rows_interface`, over the same bytes in `weight_file`."""
    graph = GraphBuilder("words", weight_file)
    emitter = OrtEmitter(weights, FewRows(graph, weights.config.activation), num_positions=num_positions)
    num_parts = candidate_parts(weights)
    if num_parts:
        _look_up_integers(emitter, num_parts)
    else:
        graph.op("Identity", emitter.projection_rows(CANDIDATES), name=CANDIDATE_ROWS)
    _look_up_bias(emitter)
    return graph.finish(candidate_rows_interface(weights.config, num_parts), opset_version=opset_version)


def build_shortlist_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `shortlist_interface` for a few rows, over the same bytes in `weight_file`."""
    products = FewRows(GraphBuilder("decoder", weight_file), weights.config.activation)
    return _shortlist_decoder(weights, products, num_positions, opset_version)


def build_shortlist_batch_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The same for many rows."""
    products = ManyRowsOfBlocks(GraphBuilder("decoder", weight_file), weights.config.activation)
    return _shortlist_decoder(weights, products, num_positions, opset_version)


def _shortlist_decoder(weights: Weights, products: Products, num_positions: int, opset_version: int) -> BuiltGraph:
    graph, num_parts = products.graph, candidate_parts(weights)
    ids = graph.op("Unsqueeze", CANDIDATES, graph.integers(1))
    choose = partial(add_top_k_of_candidates, ids=ids)
    emitter = _ShortlistDecoder(weights, products, num_positions=num_positions, choose=choose)
    decode(emitter, emitter.parts, "tokens", "source_bias")
    return graph.finish(shortlist_interface(weights.config, num_parts), opset_version=opset_version)


def _look_up_integers(emitter: OrtEmitter, num_parts: int) -> None:
    """The bytes of the decoders' blocks, as the columns that MatMulInteger reads.

    They stay uint8: for one row of activations that is as fast as int8, and no x86 saturates.
    """
    graph, matrix = emitter.graph, _projection(emitter.weights)
    assert isinstance(matrix, Matrix)
    stored, scale = blocks(matrix)
    width = matrix.values.shape[1]
    rows = graph.op(
        "Gather", graph.constant(stored.reshape(len(stored), -1), emitter.projection_name), CANDIDATES, axis=0
    )
    if stored[0].size > width:  # padded to whole blocks
        rows = graph.op("Slice", rows, graph.integers(0), graph.integers(width), graph.integers(-1))
    if num_parts == 1:
        graph.op("Transpose", rows, perm=[0, 2, 1], name=CANDIDATE_ROWS)
    else:
        by_part = graph.op("Reshape", rows, graph.integers(0, 0, num_parts, width // num_parts))
        graph.op("Transpose", by_part, perm=[0, 2, 3, 1], name=CANDIDATE_ROWS)
    scales = graph.op("Gather", graph.constant(scale, f"{emitter.projection_name}.scale"), CANDIDATES, axis=0)
    if scale.shape[1] > 1:  # the blocks of a row have the same
        scales = graph.op("Slice", scales, graph.integers(0), graph.integers(1), graph.integers(-1))
    graph.op("Transpose", scales, perm=[0, 2, 1], name=CANDIDATE_SCALES)


def _look_up_bias(emitter: OrtEmitter) -> None:
    graph, projection = emitter.graph, emitter.parts.decoder.projection
    bias = graph.scalar(0.0)
    if projection.has_bias:
        stored = graph.constant(emitter.weights.bias(projection.name), f"{OUTPUT_PROJECTION}.bias")
        bias = graph.op("Gather", stored, CANDIDATES, axis=0)
    by_row = graph.op("Where", IS_CANDIDATE, bias, graph.scalar(IMPOSSIBLE))
    graph.op("Unsqueeze", by_row, graph.integers(1), name=CANDIDATE_BIAS)


def _projection(weights: Weights) -> object:
    return weights.matrix(parts_of(weights.config).decoder.projection.name)


class _ShortlistDecoder(DecoderEmitter):
    """A decoder whose logits are those of each row's candidate tokens."""

    def project(self, x: str, projection: Layer) -> str:
        """Logits of candidates, and the best of them."""
        graph, num_parts = self.graph, candidate_parts(self.weights)
        if num_parts:
            self._integer_product(x, num_parts)
        else:
            product = graph.op("FusedMatMul", x, CANDIDATE_ROWS, domain=RUNTIME_DOMAIN, transB=1)
            graph.op("Add", product, CANDIDATE_BIAS, name=LOGITS)
        graph.expose(LOGITS, OUTPUT_PROJECTION)
        self._choose(graph, LOGITS)
        return LOGITS

    def _integer_product(self, x: str, num_parts: int) -> None:
        """Rounded as in the other decoders. MatMulInteger reads columns as they lie when there is one row of them."""
        graph, size = self.graph, self.architecture.d_model // num_parts
        if num_parts > 1:
            x = graph.op("Reshape", x, graph.integers(-1, size))
        flat, scale = add_row_scales(graph, x)
        integers = graph.op("QuantizeLinear", x, flat, add_zero_points(graph, flat), axis=0)
        if num_parts > 1:
            integers = graph.op("Reshape", integers, graph.integers(-1, num_parts, 1, size))
            scale = graph.op("Reshape", scale, graph.integers(-1, num_parts, 1, 1))
        middle = graph.constant(np.uint8(MIDDLE))
        sums = graph.op(
            "Cast", graph.op("MatMulInteger", integers, CANDIDATE_ROWS, middle, middle), to=TensorProto.FLOAT
        )
        if num_parts > 1:
            by_part = graph.op("Mul", sums, scale)
            total = graph.op("ReduceSum", by_part, graph.integers(1), keepdims=0)
            graph.op("Add", graph.op("Mul", total, CANDIDATE_SCALES), CANDIDATE_BIAS, name=LOGITS)
        else:
            scaled = graph.op("Mul", sums, CANDIDATE_SCALES)
            graph.op("GatedAdd", CANDIDATE_BIAS, scaled, scale, name=LOGITS, domain=RUNTIME_DOMAIN)
