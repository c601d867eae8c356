"""The files of the ORT profile, and the inputs and outputs of its graphs.

Owns what an app's developer sees of them; nothing heavy is imported. Names in files and graphs speak of `words` and of
`optimized`, as they have from the start; code says candidate tokens and ORT profile. B batch, S source, K key/value
heads, D head_dim, V vocabulary, k best tokens.
"""

from __future__ import annotations

import msgspec

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

CANDIDATES, IS_CANDIDATE, JOINT_CANDIDATES = "words", "is_word", "joint_words"
"""Inputs of the lookup: tokens of each row, which of them are its candidates, and the tokens of all rows, each once.
Tokens of a row that are no candidates fill up the array."""

CANDIDATE_ROWS = "word_rows"
"""Output of the lookup: the rows of the output projection for the tokens of all rows, integers as uint8. The decoder
for many rows reads them as int8, the highest bit flipped: products with uint8 take up to three times as long there. For
a few rows they are as fast, and exact everywhere. Products with int8 saturate on x86 without VNNI, where no option of
the session helps, because it turns constants only."""

CANDIDATE_PLACES, CANDIDATE_SCALES, CANDIDATE_BIAS = "word_places", "word_scales", "word_bias"
"""By row of the batch, inputs of the decoders over candidate tokens: where in `joint_words` its tokens are; the scales
of their integers, and what is added to their logits, which the lookup gives."""

TOP_IDS, TOP_LOG_PROBABILITIES = "top_ids", "top_log_probabilities"
"""Outputs of decoders."""

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
            Value(TOP_IDS, "int64", ("batch", 1, "k"), "the k best next tokens, best first, the smaller id on a tie"),
            Value(TOP_LOG_PROBABILITIES, "float32", ("batch", 1, "k"), "natural logarithms of their probabilities"),
            *_buffers("present", config, present),
        ),
    )


def candidate_rows_interface(config: Architecture, num_parts: int) -> Interface:
    """Inputs and outputs of the graph that looks up what the decoders over words multiply by.

    Args:
        config: shape of the model.
        num_parts: parts of a row of int8 weights that meet activations of one scale; 0 for float rows.
    """
    return Interface(
        (
            _candidates("ids of the words of each row, ascending; any others where a row has fewer"),
            Value(IS_CANDIDATE, "bool", ("batch", "words"), "true on the words of a row, false on what fills it up"),
            Value(JOINT_CANDIDATES, "int64", ("joint",), "ids of the words of all rows, each once"),
        ),
        (_rows(config, num_parts), *_by_row(num_parts)),
    )


def shortlist_interface(config: Architecture, num_parts: int, *, is_for_many: bool = False) -> Interface:
    """As `ort_decoder_interface`, for the decoders over the words of each row; see `candidate_rows_interface`."""
    whole = ort_decoder_interface(config)
    logits, *others = whole.outputs
    rows = _rows(config, num_parts)
    by_row = [msgspec.structs.replace(value, meaning="output of the graph of words") for value in _by_row(num_parts)]
    meaning = by_row[-1].meaning
    if is_for_many and num_parts:
        rows = msgspec.structs.replace(rows, dtype="int8")
        meaning += ", with the highest bit of each byte flipped"
    return Interface(
        (
            *whole.inputs,
            _candidates("input of the graph of words"),
            Value(
                CANDIDATE_PLACES,
                "int64",
                ("batch", 1, "words"),
                f"where the words of each row are in {JOINT_CANDIDATES}",
            ),
            msgspec.structs.replace(rows, meaning=meaning),
            *by_row,
        ),
        (Value(logits.name, logits.dtype, ("batch", 1, "words"), logits.meaning), *others),
    )


def _candidates(meaning: str) -> Value:
    return Value(CANDIDATES, "int64", ("batch", "words"), meaning)


def _rows(config: Architecture, num_parts: int) -> Value:
    width, meaning = config.d_model, "rows of the output projection for the joint words"
    if not num_parts:
        return Value(CANDIDATE_ROWS, "float32", ("joint", width), meaning)
    parts = (width,) if num_parts == 1 else (num_parts, width // num_parts)
    return Value(CANDIDATE_ROWS, "uint8", (*parts, "joint"), f"{meaning}, as columns, with zero point 128")


def _by_row(num_parts: int) -> tuple[Value, ...]:
    shape = ("batch", 1, "words")
    bias = Value(
        CANDIDATE_BIAS,
        "float32",
        shape,
        f"added to the logits of words: their bias, 0 where there is none, and {IMPOSSIBLE} for what fills up a row",
    )
    scales = Value(CANDIDATE_SCALES, "float32", shape, "the scales of the integers of words")
    return (scales, bias) if num_parts else (bias,)


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
