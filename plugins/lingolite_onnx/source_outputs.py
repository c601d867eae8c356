"""What the encoder of either profile leaves for the decoder: keys and values of the source."""

from __future__ import annotations

from lingolite_cli.architecture.parts import Attention
from lingolite_cli.architecture.recording import KEY_CACHE, VALUE_CACHE
from lingolite_onnx.graph import GraphBuilder


def output_source(graph: GraphBuilder, attention: Attention, key: str, value: str) -> None:
    """Make keys [B, K, D, S] and values [B, K, S, D] of a decoder layer outputs, from [B, S, K, D] of each."""
    index = attention.index
    key = graph.op("Transpose", key, perm=[0, 2, 3, 1], name=f"cross_key_{index}")
    value = graph.op("Transpose", value, perm=[0, 2, 1, 3], name=f"cross_value_{index}")
    graph.expose(key, attention.name + KEY_CACHE, layout="keys")
    graph.expose(value, attention.name + VALUE_CACHE, layout="values")
