"""What an app's developer must know to run the graphs of the ORT profile: their part of `export_config.json`.

Owns the sentences, which are bytes of every export: they say `words` for candidate tokens, as the graphs do.
"""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.weights.activations import ROUNDING_RULE, SCALE_RULE, STATIC_RULE
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.arithmetic import ANY_CPU, FLOAT_ARITHMETIC, for_architecture
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.export_config import GraphFile, ProfileDescription
from lingolite_onnx.interface import Interface
from lingolite_onnx.ort.candidate_graphs import candidate_parts
from lingolite_onnx.ort.interface import (
    BATCH_DECODER,
    CANDIDATE_LOOKUP,
    DECODER,
    ENCODER,
    SHORTLIST_BATCH_DECODER,
    SHORTLIST_DECODER,
    candidate_rows_interface,
    ort_decoder_interface,
    ort_encoder_interface,
    shortlist_interface,
)


def describe_ort_graphs(details: OnnxExportDetails, weights: Weights, directory: Path) -> ProfileDescription:
    """See `lingolite_onnx.profiles.DescribeGraphs`."""
    model = weights.config
    graphs = {
        "encoder": _graph(ENCODER, None, ort_encoder_interface(model), directory),
        "decoder": _graph(DECODER, BATCH_DECODER, ort_decoder_interface(model), directory),
    }
    if details.shortlist:
        num_parts = candidate_parts(weights)
        graphs = {
            "words": _graph(CANDIDATE_LOOKUP, None, candidate_rows_interface(model, num_parts), directory),
            "shortlist_decoder": _graph(SHORTLIST_DECODER, None, shortlist_interface(model, num_parts), directory),
            **graphs,
        }
        if SHORTLIST_BATCH_DECODER in details.graphs:
            interface = shortlist_interface(model, num_parts, is_for_many=True)
            graphs["shortlist_batch_decoder"] = _graph(SHORTLIST_BATCH_DECODER, None, interface, directory)
    return ProfileDescription(
        graph_files=_FILES,
        graphs=graphs,
        dimensions=_dimensions(details),
        decoding_steps=_decoding_steps(details, model),
        arithmetic=for_architecture(_arithmetic(details), model),
        cpu_note=_cpu_note(details),
    )


def _graph(file: str, batch_file: str | None, interface: Interface, directory: Path) -> GraphFile:
    """`batch_file` is named where it was written."""
    return GraphFile(
        file=file,
        batch_file=batch_file if batch_file is not None and (directory / batch_file).is_file() else None,
        inputs=interface.inputs,
        outputs=interface.outputs,
    )


def _arithmetic(details: OnnxExportDetails) -> list[str]:
    return _CALIBRATED_ARITHMETIC if details.activations == "calibrated" else _ARITHMETIC[details.weights]


def _cpu_note(details: OnnxExportDetails) -> str:
    if details.activations == "calibrated":
        return _CALIBRATED_CPU_NOTE
    return _INT8_CPU_NOTE if details.weights == "int8" else ANY_CPU


_FILES = {
    ENCODER: "graph of ONNX Runtime's own operators, run once a sentence",
    DECODER: "graph of ONNX Runtime's own operators, run once a target token, for a few rows",
    BATCH_DECODER: "the same computation for many rows; open it when there are some",
    CANDIDATE_LOOKUP: "looks up what the decoders over words multiply by, run once a batch, with a shortlist only",
    SHORTLIST_DECODER: "decoder over the words of each row, for a few rows",
    SHORTLIST_BATCH_DECODER: "the same computation for many rows; its products with words saturate in 16 bits on x86 "
    "without VNNI, whatever the options of the session: use the decoder for a few rows there",
}

_INT8_CPU_NOTE = (
    "products of decoder_optimized.onnx are right on every CPU; those of the encoder and of "
    "decoder_optimized_batch.onnx are exact on ARM and on x86 with VNNI, and saturate in 16 bits on x86 without it "
    "(onnxruntime#14642): use the float export there"
)

_CALIBRATED_CPU_NOTE = (
    "products are exact on ARM and on x86 with VNNI, and saturate in 16 bits on x86 without it (onnxruntime#14642): "
    "set the session option session.x64quantprecision to 1 there, or use the float export"
)

_CALIBRATED_ARITHMETIC = [
    "each quantized matrix is int8 with one float32 scale s_w for each output, symmetric, -127 to 127; embedding and "
    "output projection are stored as uint8 with zero point 128, the others as int8 [in, out]",
    "activations have one scale s_x and one zero point z a tensor, calibrated beforehand",
    f"{STATIC_RULE}, in uint8 (QuantizeLinear)",
    "sums of products are exact in int32; y = float32(sum) * (s_x * s_w) (MatMulIntegerToFloat; MatMulInteger with the "
    "words of a shortlist)",
    "a word's embedding is float32(q) * s_w of its row, times sqrt(d_model)",
    "norms, attention and SwiGLU are float32",
]

_INT8_ARITHMETIC = [
    "each quantized matrix is int8 with one float32 scale s_w for each output, symmetric, -127 to 127; stored as uint8 "
    "with zero point 128, or as int8 [in, out] in the encoder",
    "activations are quantized as they come, by row in the encoder and by 256 neighbours of a row in the decoders: "
    f"{SCALE_RULE}, {ROUNDING_RULE}",
    "sums of products are exact in int32; y = sum over blocks of float32(sum) * s_x * s_w",
    "a word's embedding is float32(q) * s_w of its row, times sqrt(d_model)",
    "norms, attention and SwiGLU are float32",
]

_GROUPS_ARITHMETIC = [
    "each quantized matrix is unsigned integers of 4 bits, or of 8 where the quantizer was told so, in groups along "
    "its inputs; each group has a float32 scale s_w and may have an integer zero point, otherwise 8 or 128",
    f"activations are quantized as they come, by group: {SCALE_RULE}, {ROUNDING_RULE} "
    "(MatMulNBits with accuracy_level 4)",
    "sums of products are exact in int32; y = sum over groups of float32(sum) * s_x * s_w",
    "a matrix that the quantizer left in float is float32 or float16, and multiplied in float32",
    "a word's embedding is (q - zero_point) * s_w, times sqrt(d_model)",
    "norms, attention and SwiGLU are float32",
]

_ARITHMETIC = {**FLOAT_ARITHMETIC, "int8": _INT8_ARITHMETIC, "int4": _GROUPS_ARITHMETIC}


def _dimensions(details: OnnxExportDetails) -> dict[str, str]:
    """The symbolic dimensions of the graphs."""
    words = {}
    if details.shortlist:
        words = {
            "words": "words of the row that has the most on its shortlist",
            "joint": "words of all rows together, each counted once",
        }
    return {
        **words,
        "batch": "sentences, or hypotheses in a beam search",
        "source": f"source tokens of the longest row, 1 to {details.max_seq_len}",
        "capacity": f"target tokens that the buffers have room for, 1 to {details.max_seq_len}",
        "k": "candidates for the next token: 1 for greedy search, 2 · beam_size for a beam search",
    }


def _decoding_steps(details: OnnxExportDetails, model: Architecture) -> list[str]:
    """The decoding loop in words."""
    is_recurrent = model.decoder_recurrence == "ssru"
    return [
        "encode the text with SentencePiece and frame it as in source_frame",
        "pad a batch on the right with the id `pad`; source_mask is true on real tokens and false on padding",
        "run the encoder once; keep source_bias and its cross_* outputs for every call of the decoder",
        "make past_* arrays of zeros" if is_recurrent else _BUFFERS,
        "bind each present_* output to the memory of its past_* input, so that the decoder writes in place",
        "start with tokens = `bos` for each row, past_lengths = 0 and total_length = 1",
        "run the decoder; greedy search takes k = 1 and the token top_ids[:, 0, 0]",
        "feed the chosen tokens, with past_lengths and total_length one larger; "
        + ("never let total_length" if is_recurrent else f"{_GROW}never let it")
        + f" exceed {details.max_seq_len}",
        "a row ends with `eos`, or at max_length of decoding_defaults; drop ended rows from every array, or ignore "
        "what follows",
        "beam search: reorder the rows of past_*, and of cross_* and source_bias when a row changes its sentence",
        "decode the ids with SentencePiece, without control tokens",
        *(_SHORTLIST_STEPS if details.shortlist else ()),
    ]


_BUFFERS = "make past_* buffers of some capacity; their contents do not matter"
_GROW = "copy the buffers into larger ones when total_length would exceed their capacity, and "

_SHORTLIST_STEPS = (
    "with a shortlist, which is faster and may cost quality: a sentence's words are `frequent` and the rows of "
    "`candidates` for its source ids, without -1 (both in shortlist.safetensors)",
    "sort the words of each row, fill up rows that have fewer than others with other ids, join them to joint_words, "
    "and run the graph `words` once a batch; keep its outputs for every call of the decoder",
    "run `shortlist_decoder` in the place of `decoder`, or `shortlist_batch_decoder` for many rows, with words, "
    "word_places and the outputs of `words` as well; beam search reorders the rows of all of them but word_rows as "
    "those of cross_*",
)
