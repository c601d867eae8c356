"""The files of the portable profile, and the inputs and outputs of its graphs.

Owns what an app's developer sees of them; nothing heavy is imported. B batch, S source, P past, K key/value heads,
D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.network import Kept, decoder_state, source_state
from lingolite_onnx.interface import LOGITS, Interface, Value

GRAPHS = {
    "portable": ("encoder.onnx", "decoder.onnx"),
    "optimized": ("encoder_optimized.onnx", "decoder_optimized.onnx"),
    "ort": ("encoder.ort", "decoder.ort"),
}
"""Encoder and decoder, by the value of the backend's option `graph`: as exported, and what the export options
`optimize` and `ort` wrote beside these."""


OPERATORS_FILE = "required_operators_and_types.config"
"""What a custom build of ONNX Runtime must have for the graphs called `ort`."""

POSITION = "position"
"""Input of a decoder that keeps nothing whose length would tell how many target tokens it has read."""

_PAST = "self-attention so far; its length is the position, at first 0"
_RECURRENT_PAST = "state of the recurrent unit, at first 0"


def reads_position(config: Architecture) -> bool:
    """Whether the decoder has the input `POSITION`."""
    return config.decoder_recurrence == "ssru"


def _caches(prefix: str, kept: Sequence[Kept], length: str, meaning: str) -> tuple[Value, ...]:
    """Keys [B, K, D, length], values [B, K, length, D] and cells [B, width] of each decoder layer."""
    return tuple(
        Value(f"{prefix}_{one.name}", "float32", _shape(one, length), f"{meaning}, decoder layer {one.layer}")
        for one in kept
    )


def _shape(kept: Kept, length: str) -> tuple[int | str, ...]:
    shapes: dict[str, tuple[int | str, ...]] = {
        "key": ("batch", kept.heads, kept.width, length),
        "value": ("batch", kept.heads, length, kept.width),
        "cell": ("batch", kept.width),
    }
    return shapes[kept.kind]


def portable_encoder_interface(config: Architecture) -> Interface:
    """Inputs and outputs of `encoder.onnx`."""
    cross = _caches(
        "cross", source_state(config), "source", "cross-attention over the source; computed once a sentence"
    )
    return Interface(
        (
            Value("source_ids", "int64", ("batch", "source"), "framed source, padded on the right"),
            Value("source_mask", "bool", ("batch", "source"), "true on real tokens, false on padding"),
        ),
        cross,
    )


def portable_decoder_interface(config: Architecture) -> Interface:
    """Inputs and outputs of `decoder.onnx`."""
    state, is_recurrent = decoder_state(config), reads_position(config)
    return Interface(
        (
            Value("tokens", "int64", ("batch",), "last token of each row; at first `<s>`"),
            Value("source_mask", "bool", ("batch", "source"), "the encoder's input"),
            *_caches("cross", source_state(config), "source", "the encoder's output"),
            *((Value(POSITION, "int64", (1,), "target tokens read before this call"),) if is_recurrent else ()),
            *_caches("past", state, "past", _RECURRENT_PAST if is_recurrent else _PAST),
        ),
        (
            Value(LOGITS, "float32", ("batch", config.vocab_size), "of the next token"),
            *_caches("present", state, "past + 1", "the next call's past"),
        ),
    )
