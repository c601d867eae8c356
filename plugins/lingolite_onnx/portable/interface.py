"""The files of the portable profile, and the inputs and outputs of its graphs.

Owns what an app's developer sees of them; nothing heavy is imported. B batch, S source, P past, K key/value heads,
D head_dim.
"""

from __future__ import annotations

from lingolite_cli.architecture.architecture import Architecture
from lingolite_onnx.interface import LOGITS, Interface, Value

GRAPHS = {
    "portable": ("encoder.onnx", "decoder.onnx"),
    "optimized": ("encoder_optimized.onnx", "decoder_optimized.onnx"),
}
"""Encoder and decoder, by the value of the backend's option `graph`: as exported, and as offline graph optimization
(the export option `optimize`) wrote them beside these."""


def _caches(prefix: str, config: Architecture, length: str, meaning: str) -> tuple[Value, ...]:
    """Keys [B, K, D, length] and values [B, K, length, D] of each decoder layer."""
    heads, width = config.n_kv_heads, config.head_dim
    return tuple(
        Value(f"{prefix}_{kind}_{layer}", "float32", shape, f"{meaning}, decoder layer {layer}")
        for layer in range(config.n_decoder_layers)
        for kind, shape in (
            ("key", ("batch", heads, width, length)),
            ("value", ("batch", heads, length, width)),
        )
    )


def portable_encoder_interface(config: Architecture) -> Interface:
    """Inputs and outputs of `encoder.onnx`."""
    cross = _caches("cross", config, "source", "cross-attention over the source; computed once a sentence")
    return Interface(
        (
            Value("source_ids", "int64", ("batch", "source"), "framed source, padded on the right"),
            Value("source_mask", "bool", ("batch", "source"), "true on real tokens, false on padding"),
        ),
        cross,
    )


def portable_decoder_interface(config: Architecture) -> Interface:
    """Inputs and outputs of `decoder.onnx`."""
    return Interface(
        (
            Value("tokens", "int64", ("batch",), "last token of each row; at first `<s>`"),
            Value("source_mask", "bool", ("batch", "source"), "the encoder's input"),
            *_caches("cross", config, "source", "the encoder's output"),
            *_caches("past", config, "past", "self-attention so far; its length is the position, at first 0"),
        ),
        (
            Value(LOGITS, "float32", ("batch", config.vocab_size), "of the next token"),
            *_caches("present", config, "past + 1", "the next call's past"),
        ),
    )
