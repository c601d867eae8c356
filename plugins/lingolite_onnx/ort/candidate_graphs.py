"""The graphs of the ORT profile over candidate tokens: the lookup of their rows of the output projection, and decoders
that choose from them.

Owns what differs from the decoders over the whole vocabulary. One product with the candidates of all rows, of which
each row takes its own: 32 sentences of a model with 32,000 tokens multiply by 9,000 rows of the projection, which are
read once, and not each by 900 of its own, which took more than twice as long.
R rows, V vocabulary, N candidate tokens of a row, U of all rows, P parts of a row of activations, each with a scale.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.network import decode
from lingolite_cli.architecture.parts import Layer, parts_of
from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.shortlist.candidates import IMPOSSIBLE
from lingolite_cli.weights.activations import MIDDLE, InputRange
from lingolite_cli.weights.bundle import Matrix, Weights
from lingolite_onnx.graph import RUNTIME_DOMAIN, BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.interface import LOGITS
from lingolite_onnx.ort.blocks import blocks, parts_of_row
from lingolite_onnx.ort.calibrated import levels
from lingolite_onnx.ort.emitter import OrtEmitter
from lingolite_onnx.ort.graphs import DecoderEmitter, products_of
from lingolite_onnx.ort.interface import (
    CANDIDATE_BIAS,
    CANDIDATE_PLACES,
    CANDIDATE_ROWS,
    CANDIDATE_SCALES,
    CANDIDATES,
    IS_CANDIDATE,
    JOINT_CANDIDATES,
    candidate_rows_interface,
    shortlist_interface,
)
from lingolite_onnx.ort.many_rows import ManyRowsOfBlocks, add_row_scales, add_zero_points
from lingolite_onnx.ort.products import FewRows, Products
from lingolite_onnx.ort.top_k import add_top_k_of_candidates


def candidate_parts(weights: Weights) -> int:
    """P for an int8 output projection, 1 where its activations have a calibrated range; 0 for another, whose candidates
    are multiplied in float32."""
    matrix = _projection(weights)
    if not (isinstance(matrix, Matrix) and matrix.is_int8):
        return 0
    return 1 if matrix.input_range else parts_of_row(matrix.values.shape[1])


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
        graph.op("Identity", emitter.projection_rows(JOINT_CANDIDATES), name=CANDIDATE_ROWS)
    _look_up_bias(emitter)
    return graph.finish(candidate_rows_interface(weights.config, num_parts), opset_version=opset_version)


def build_shortlist_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `shortlist_interface` for a few rows, over the same bytes in `weight_file`."""
    products = products_of(weights, GraphBuilder("decoder", weight_file), otherwise=FewRows)
    return _shortlist_decoder(weights, products, num_positions, opset_version)


def build_shortlist_batch_decoder(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The same for many rows."""
    products = products_of(weights, GraphBuilder("decoder", weight_file), otherwise=ManyRowsOfBlocks)
    return _shortlist_decoder(weights, products, num_positions, opset_version, is_for_many=True)


def _shortlist_decoder(
    weights: Weights, products: Products, num_positions: int, opset_version: int, *, is_for_many: bool = False
) -> BuiltGraph:
    emitter = _ShortlistDecoder(weights, products, num_positions=num_positions, is_for_many=is_for_many)
    decode(emitter, emitter.parts, "tokens", "source_bias")
    interface = shortlist_interface(weights.config, candidate_parts(weights), is_for_many=is_for_many)
    return products.graph.finish(interface, opset_version=opset_version)


def _look_up_integers(emitter: OrtEmitter, num_parts: int) -> None:
    """The bytes of the decoders' blocks, as the columns that MatMulInteger reads."""
    graph, matrix = emitter.graph, _projection(emitter.weights)
    assert isinstance(matrix, Matrix)
    stored, scale = blocks(matrix)
    width = matrix.values.shape[1]
    rows = graph.op(
        "Gather", graph.constant(stored.reshape(len(stored), -1), emitter.projection_name), JOINT_CANDIDATES, axis=0
    )
    if stored[0].size > width:  # padded to whole blocks
        rows = graph.op("Slice", rows, graph.integers(0), graph.integers(width), graph.integers(-1))
    order = [1, 0]
    if num_parts > 1:
        rows, order = graph.op("Reshape", rows, graph.integers(0, num_parts, width // num_parts)), [1, 2, 0]
    graph.op("Transpose", rows, perm=order, name=CANDIDATE_ROWS)
    if matrix.input_range:
        assert matrix.scale is not None
        factors = graph.constant(matrix.scale * np.float32(matrix.input_range.scale), f"{OUTPUT_PROJECTION}.factors")
        graph.op("Unsqueeze", graph.op("Gather", factors, CANDIDATES), graph.integers(1), name=CANDIDATE_SCALES)
        return
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
    """A decoder whose logits are those of each row's candidate tokens.

    Args:
        weights: the model's weights.
        products: how its graph multiplies.
        num_positions: rows of the tables of positions.
        is_for_many: integers of candidates are int8.
    """

    def __init__(self, weights: Weights, products: Products, *, num_positions: int, is_for_many: bool) -> None:
        ids = products.graph.op("Unsqueeze", CANDIDATES, products.graph.integers(1))
        choose = partial(add_top_k_of_candidates, ids=ids)
        super().__init__(weights, products, num_positions=num_positions, choose=choose)
        self._is_for_many = is_for_many

    def project(self, x: str, projection: Layer) -> str:
        """Logits of candidates, and the best of them."""
        graph, num_parts = self.graph, candidate_parts(self.weights)
        matrix = _projection(self.weights)
        if isinstance(matrix, Matrix) and matrix.input_range:
            self._calibrated_product(x, matrix.input_range)
        elif num_parts:
            self._integer_product(x, num_parts)
        else:
            product = graph.op("FusedMatMul", x, CANDIDATE_ROWS, domain=RUNTIME_DOMAIN, transB=1)
            own = graph.op("GatherElements", product, CANDIDATE_PLACES, axis=-1)
            graph.op("Add", own, CANDIDATE_BIAS, name=LOGITS)
        graph.expose(LOGITS, OUTPUT_PROJECTION)
        self._choose(graph, LOGITS)
        return LOGITS

    def _calibrated_product(self, x: str, input_range: InputRange) -> None:
        """Rounded by its range, whose scale is a factor of the candidates' scales."""
        graph, (scale, zero_point) = self.graph, levels(self.graph, input_range)
        integers = graph.op("QuantizeLinear", x, scale, zero_point)
        sums = graph.op("GatherElements", self._multiply(integers, zero_point), CANDIDATE_PLACES, axis=-1)
        products = graph.op("Mul", graph.op("Cast", sums, to=TensorProto.FLOAT), CANDIDATE_SCALES)
        graph.op("Add", products, CANDIDATE_BIAS, name=LOGITS)

    def _integer_product(self, x: str, num_parts: int) -> None:
        """Rounded as in the other decoders; the sums of a row's candidates are taken out before they are scaled."""
        graph, size = self.graph, self.architecture.d_model // num_parts
        places, order = CANDIDATE_PLACES, [1, 0, 2]
        if num_parts > 1:
            x = graph.op("Transpose", graph.op("Reshape", x, graph.integers(-1, num_parts, size)), perm=order)
            x = graph.op("Reshape", x, graph.integers(-1, size))
            turned = graph.op("Transpose", places, perm=order)
            places = graph.op("Expand", turned, graph.integers(num_parts, 1, 1))
        flat, scale = add_row_scales(graph, x)
        integers = graph.op("QuantizeLinear", x, flat, add_zero_points(graph, flat), axis=0)
        if num_parts > 1:
            integers = graph.op("Reshape", integers, graph.integers(num_parts, -1, size))
            scale = graph.op("Reshape", scale, graph.integers(num_parts, -1, 1))
        sums = graph.op("GatherElements", self._multiply(integers, graph.constant(np.uint8(MIDDLE))), places, axis=-1)
        products = graph.op("Cast", sums, to=TensorProto.FLOAT)
        if num_parts > 1:
            total = graph.op("ReduceSum", graph.op("Mul", products, scale), graph.integers(0), keepdims=0)
            by_row = graph.op("Unsqueeze", total, graph.integers(1))
            graph.op("Add", graph.op("Mul", by_row, CANDIDATE_SCALES), CANDIDATE_BIAS, name=LOGITS)
        else:
            scaled = graph.op("Mul", products, CANDIDATE_SCALES)
            graph.op("GatedAdd", CANDIDATE_BIAS, scaled, scale, name=LOGITS, domain=RUNTIME_DOMAIN)

    def _multiply(self, integers: str, zero_point: str) -> str:
        """Exact sums of integers, whose 0 is `zero_point`, with the candidates of all rows."""
        of_rows = [] if self._is_for_many else [self.graph.constant(np.uint8(MIDDLE))]
        return self.graph.op("MatMulInteger", integers, CANDIDATE_ROWS, zero_point, *of_rows)
