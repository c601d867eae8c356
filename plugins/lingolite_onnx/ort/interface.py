"""The files of the ORT profile, and the inputs and outputs of its graphs.

Owns what an app's developer sees of them; nothing heavy is imported. Names in files and graphs speak of `words` and of
`optimized`, as they have from the start; code says candidate tokens and ORT profile. B batch, S source, K key/value
heads, D head_dim, V vocabulary, k best tokens.
"""

from __future__ import annotations

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.network import decoder_state, source_state
from lingolite_cli.shortlist.candidates import IMPOSSIBLE
from lingolite_onnx.interface import LOGITS, MASKED, Interface, Value

ENCODER = "encoder_optimized.onnx"
DECODER = "decoder_optimized.onnx"
BATCH_DECODER = "decoder_optimized_batch.onnx"
CANDIDATE_LOOKUP = "words_optimized.onnx"
SHORTLIST_DECODER = "decoder_optimized_shortlist.onnx"
SHORTLIST_BATCH_DECODER = "decoder_optimized_shortlist_batch.onnx"

CANDIDATE_ROWS, CANDIDATE_BIAS, CANDIDATE_LOGITS_BIAS = "word_rows", "word_bias", "word_logits_bias"
"""Inputs of the decoders over candidate tokens: rows of the output projection, which tokens are a row's own, and the
bias of their logits, where the projection has one."""


_GROWING = (
    "buffers of self-attention; rows up to past length are read",
    "past with one row more; bind it to the memory of past",
)
_CELLS = ("state of the recurrent unit, at first 0", "the next call's past; bind it to the memory of past")
"""What is said of what a decoder keeps from call to call: before the call, and after it."""


def ort_encoder_interface(config: Architecture) -> Interface:
    """Inputs and outputs of the encoder."""
    return Interface(
        (
            Value("source_ids", "int64", ("batch", "source"), "framed source, padded on the right"),
            Value("source_mask", "bool", ("batch", "source"), "true on real tokens, false on padding"),
        ),
        _source(config),
    )


def ort_decoder_interface(config: Architecture) -> Interface:
    """Inputs and outputs of both decoders."""
    past, present = _CELLS if config.decoder_recurrence == "ssru" else _GROWING
    return Interface(
        (
            Value("tokens", "int64", ("batch", 1), "last token of each row; at first `<s>`"),
            Value("past_lengths", "int32", ("batch",), "target tokens read before this call, in each row"),
            Value("total_length", "int32", (), "past length + 1"),
            Value("k", "int64", (1,), "candidates wanted for the next token, at most the vocabulary"),
            *_source(config),
            *_buffers("past", config, past),
        ),
        (
            Value(LOGITS, "float32", ("batch", 1, config.vocab_size), "of the next token"),
            Value("top_ids", "int64", ("batch", 1, "k"), "the k best next tokens, best first, the smaller id on a tie"),
            Value("top_log_probabilities", "float32", ("batch", 1, "k"), "natural logarithms of their probabilities"),
            *_buffers("present", config, present),
        ),
    )


def candidate_rows_interface(config: Architecture) -> Interface:
    """Inputs and outputs of the graph that looks up what the decoders over words multiply by."""
    return Interface(
        (Value("words", "int64", ("words",), "ids of the words of all rows, ascending"),),
        (
            Value(CANDIDATE_ROWS, "float32", ("words", config.d_model), "their rows of the output projection"),
            *_logits_bias(config, "the bias of their logits"),
        ),
    )


def shortlist_interface(config: Architecture) -> Interface:
    """As `ort_decoder_interface`, for the decoders over the words of a batch."""
    whole = ort_decoder_interface(config)
    logits, ids, log_probabilities, *present = whole.outputs
    return Interface(
        (
            *whole.inputs,
            Value(CANDIDATE_ROWS, "float32", ("words", config.d_model), "output of the graph of words"),
            *_logits_bias(config, "output of the graph of words"),
            Value(
                CANDIDATE_BIAS,
                "float32",
                ("batch", 1, "words"),
                f"0 for the words of a row's source, {IMPOSSIBLE} elsewhere",
            ),
        ),
        (
            Value(logits.name, logits.dtype, ("batch", 1, "words"), logits.meaning),
            Value(ids.name, ids.dtype, ids.shape, "places in `words` of the k best next tokens, best first"),
            log_probabilities,
            *present,
        ),
    )


def _source(config: Architecture) -> tuple[Value, ...]:
    cross = tuple(
        Value(
            f"cross_{kept.name}",
            "float32",
            ("batch", kept.heads, kept.width, "source")
            if kept.kind == "key"
            else ("batch", kept.heads, "source", kept.width),
            f"cross-attention over the source, decoder layer {kept.layer}",
        )
        for kept in source_state(config)
    )
    return (Value("source_bias", "float32", ("batch", 1, 1, "source"), f"0 on real tokens, {MASKED} elsewhere"), *cross)


def _buffers(prefix: str, config: Architecture, meaning: str) -> tuple[Value, ...]:
    return tuple(
        Value(
            f"{prefix}_{kept.name}",
            "float32",
            ("batch", kept.heads, 1 if kept.kind == "cell" else "capacity", kept.width),
            f"{meaning}, decoder layer {kept.layer}",
        )
        for kept in decoder_state(config)
    )


def _logits_bias(config: Architecture, meaning: str) -> tuple[Value, ...]:
    return (Value(CANDIDATE_LOGITS_BIAS, "float32", ("words",), meaning),) if config.logits_bias else ()
