"""What an app's developer must know to run the portable graphs: their part of `export_config.json`.

Owns the sentences, which are bytes of every export.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.weights.activations import MIDDLE, ROUNDING_RULE, SCALE_RULE, STATIC_RULE
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.arithmetic import ANY_CPU, FLOAT_ARITHMETIC, for_architecture
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.export_config import GraphFile, ProfileDescription
from lingolite_onnx.interface import Interface
from lingolite_onnx.portable.interface import (
    GRAPHS,
    OPERATORS_FILE,
    portable_decoder_interface,
    portable_encoder_interface,
    reads_position,
)


def describe_portable_graphs(details: OnnxExportDetails, weights: Weights, directory: Path) -> ProfileDescription:
    """See `lingolite_onnx.profiles.DescribeGraphs`."""
    model = weights.config
    operators = _OPERATORS.get(details.weights, "standard operators")
    return ProfileDescription(
        graph_files={
            "encoder.onnx": f"graph of {operators}, run once a sentence",
            "decoder.onnx": f"graph of {operators}, run once a target token",
            "encoder_optimized.onnx": "the encoder with ONNX Runtime's fused operators",
            "decoder_optimized.onnx": "the decoder with ONNX Runtime's fused operators",
            "encoder.ort": "the encoder with its weights in ONNX Runtime's own format, for custom builds",
            "decoder.ort": "the decoder with its weights in ONNX Runtime's own format, for custom builds",
            OPERATORS_FILE: "operators and types that such a build must have (--include_ops_by_config)",
        },
        graphs={
            "encoder": _graph(0, portable_encoder_interface(model), directory),
            "decoder": _graph(1, portable_decoder_interface(model), directory),
        },
        dimensions={
            "batch": "sentences, or hypotheses in a beam search",
            "source": f"source tokens of the longest row, 1 to {details.max_seq_len}",
            "past": f"target tokens read before this call, 0 to {details.max_seq_len - 1}",
        },
        decoding_steps=_decoding_steps(details, model),
        arithmetic=for_architecture([*_arithmetic(details), *([_EXACT] if details.exact else [])], model),
        cpu_note=_INT8_CPU_NOTE if details.weights == "int8" else ANY_CPU,
    )


def _graph(index: int, interface: Interface, directory: Path) -> GraphFile:
    optimized, converted = GRAPHS["optimized"][index], GRAPHS["ort"][index]
    return GraphFile(
        file=GRAPHS["portable"][index],
        optimized_file=optimized if (directory / optimized).is_file() else None,
        ort_file=converted if (directory / converted).is_file() else msgspec.UNSET,
        inputs=interface.inputs,
        outputs=interface.outputs,
    )


def _decoding_steps(details: OnnxExportDetails, model: Architecture) -> list[str]:
    is_recurrent = reads_position(model)
    return [
        "encode the text with SentencePiece and frame it as in source_frame",
        "pad a batch on the right with the id `pad`; source_mask is true on real tokens and false on padding",
        "run the encoder once; keep its cross_* outputs for every call of the decoder",
        "start with tokens = `bos` for each row and past_* arrays of "
        + ("zeros; position is the number of target tokens read before" if is_recurrent else "length 0"),
        f"run the decoder with tokens, source_mask, cross_* and {'past_*, and position' if is_recurrent else 'past_*'}",
        "greedy search: the next token is the largest of the logits, the smaller id on a tie",
        "feed present_* back as past_* and the chosen tokens as tokens",
        "a row ends with `eos`, or at max_length of decoding_defaults; drop ended rows from every array, or ignore "
        "what follows; never call the decoder with a "
        + (
            f"position of {details.max_seq_len} or larger"
            if is_recurrent
            else f"past of {details.max_seq_len} or longer"
        ),
        "beam search: reorder the rows of past_*, and of cross_* and source_mask when a row changes its sentence",
        "decode the ids with SentencePiece, without control tokens",
    ]


def _arithmetic(details: OnnxExportDetails) -> list[str]:
    if details.activations == "calibrated":
        first, *_, last = _ARITHMETIC["int8"]
        return [first, *_CALIBRATED, last]
    return _ARITHMETIC[details.weights]


_CALIBRATED = [
    "activations have one scale s_x and one zero point z a tensor, calibrated beforehand",
    f"{STATIC_RULE}, in uint8 (QuantizeLinear)",
    "the graphs show each product as a MatMul of two DequantizeLinear (QDQ); ONNX Runtime computes it in integers "
    "(MatMulIntegerToFloat): sums are exact in int32, and y = float32(sum) * (s_x * s_w)",
    "a runtime that does not know the pattern multiplies the float32 that the integers stand for",
]

_ARITHMETIC = {
    **FLOAT_ARITHMETIC,
    "int4": [
        "each quantized matrix is unsigned integers of 4 bits, or of 8 where the quantizer was told so, in groups "
        "along its inputs; each group has a float32 scale and may have an integer zero point, otherwise 8 or 128",
        "a weight is (q - zero_point) * scale in float32; activations and products are float32: of 4 bits by "
        "MatMulNBits with accuracy_level 1, of 8 by Gemm over weights that are constant in the graph",
        "a matrix that the quantizer left in float is float32 or float16, and multiplied in float32 (MatMul)",
        "a word's embedding is a row of such weights (GatherBlockQuantized), times sqrt(d_model)",
    ],
    "int8": [
        "each quantized matrix is int8 with one float32 scale s_w for each output, symmetric, -127 to 127",
        f"activations are quantized by row as they come: {SCALE_RULE}",
        f"{ROUNDING_RULE}, stored as uint8 with zero point {MIDDLE}",
        "sums of products are exact in int32 (MatMulInteger)",
        "y = (float32(sum) * s_x) * s_w",
        "a word's embedding is float32(q) * s_w of its row, times sqrt(d_model)",
    ],
}

_OPERATORS = {"int4": "standard operators and two that only ONNX Runtime has, MatMulNBits and GatherBlockQuantized"}

_EXACT = (
    "norms, attention and SwiGLU are computed in float64 and rounded to float32, so that every runtime gives the same "
    "tokens, alone and in any batch"
)

_INT8_CPU_NOTE = (
    "exact on ARM and on x86 with VNNI; on x86 without VNNI (before Cascade Lake, Zen 4) onnxruntime's 8-bit "
    "products saturate in 16 bits (onnxruntime#14642) and translations are wrong: set its session option "
    "session.x64quantprecision to 1 there, which is exact, or use the float or fp16 export"
)
