"""The graphs of the ORT profile over candidate tokens: the lookup of their rows of the output projection, and decoders
that choose from them.

Owns what differs from the decoders over the whole vocabulary. B batch, V vocabulary, N candidate tokens.
"""

from __future__ import annotations

from lingolite_cli.architecture.network import decode
from lingolite_cli.architecture.parts import Layer
from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import RUNTIME_DOMAIN, BuiltGraph, GraphBuilder, WeightFile
from lingolite_onnx.interface import LOGITS
from lingolite_onnx.ort.emitter import OrtEmitter
from lingolite_onnx.ort.graphs import DecoderEmitter
from lingolite_onnx.ort.interface import (
    CANDIDATE_BIAS,
    CANDIDATE_LOGITS_BIAS,
    CANDIDATE_ROWS,
    candidate_rows_interface,
    shortlist_interface,
)
from lingolite_onnx.ort.many_rows import ManyRowsOfBlocks
from lingolite_onnx.ort.products import FewRows, Products
from lingolite_onnx.ort.top_k import add_top_k


def build_candidate_rows(
    weights: Weights, weight_file: WeightFile, *, num_positions: int, opset_version: int
) -> BuiltGraph:
    """The graph of `candidate_rows_interface`, over the same bytes in `weight_file`."""
    graph = GraphBuilder("words", weight_file)
    emitter = OrtEmitter(weights, FewRows(graph, weights.config.activation), num_positions=num_positions)
    emitter.projection_rows("words", output=CANDIDATE_ROWS)
    projection = emitter.parts.decoder.projection
    if projection.has_bias:
        bias = graph.constant(weights.bias(projection.name), f"{OUTPUT_PROJECTION}.bias")
        graph.op("Gather", bias, "words", axis=0, name=CANDIDATE_LOGITS_BIAS)
    return graph.finish(candidate_rows_interface(weights.config), opset_version=opset_version)


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
    emitter = _ShortlistDecoder(weights, products, num_positions=num_positions, choose=add_top_k)
    decode(emitter, emitter.parts, "tokens", "source_bias")
    return products.graph.finish(shortlist_interface(weights.config), opset_version=opset_version)


class _ShortlistDecoder(DecoderEmitter):
    """A decoder whose logits are those of the candidate tokens of a batch, in float32: they are too few to be worth
    rounding for.

    A candidate of another row only has the logit of an impossible token, so that no row depends on its batch-mates.
    """

    def project(self, x: str, projection: Layer) -> str:
        """Logits of candidates, and the best of them."""
        product = self.graph.op("FusedMatMul", x, CANDIDATE_ROWS, domain=RUNTIME_DOMAIN, transB=1)
        if projection.has_bias:
            product = self.graph.op("Add", product, CANDIDATE_LOGITS_BIAS)
        logits = self.graph.op("Add", product, CANDIDATE_BIAS, name=LOGITS)
        self.graph.expose(logits, OUTPUT_PROJECTION)
        self._choose(self.graph, logits)
        return logits
