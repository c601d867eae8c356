"""`export_config.json`: what an app's developer must know to run the graphs, without LingoLite and without Python."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.architecture.architecture import ModelConfig
from lingolite_cli.artifact import MANIFEST_NAME, SHORTLIST_NAME, TOKENIZER_NAME, Artifact
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.tokenization.tokenizer import BOS_ID, EOS_ID, UNK_ID
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.graph import Value
from lingolite_onnx.ort import description
from lingolite_onnx.ort import stacks as ort_stacks
from lingolite_onnx.ort.runner import BATCH_DECODER, DECODER, ENCODER, SHORTLIST_BATCH_DECODER, SHORTLIST_DECODER, WORDS
from lingolite_onnx.portable.runner import GRAPHS
from lingolite_onnx.portable.stacks import Interface, portable_decoder_interface, portable_encoder_interface

FILE_NAME = "export_config.json"


class GraphFile(msgspec.Struct, frozen=True, kw_only=True):
    """A graph, others that compute the same with ONNX Runtime's fused operators or for many rows, and what it takes."""

    file: str
    optimized_file: str | None = None
    batch_file: str | None = None
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


class SourceFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The ids around a source text, shown on an empty one."""

    pieces: list[str]
    example: str
    example_ids: list[int]
    too_long: str
    control_tokens: str


class ExportConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file, in order."""

    schema: int = 1
    profile: str
    opset_version: int
    weights: str
    max_seq_len: int
    files: dict[str, str]
    model: dict[str, int]
    special_ids: dict[str, int]
    language_ids: dict[str, int]
    source_frame: SourceFrame
    graphs: dict[str, GraphFile]
    dimensions: dict[str, str]
    decoding_steps: list[str]
    decoding_defaults: dict[str, int | float]
    arithmetic: list[str]
    cpu_note: str


def source_frame(source: Artifact, max_seq_len: int) -> SourceFrame:
    """How a source is framed, shown from the first language to the last.

    Raises:
        LingoLiteError: the bundle's tokenizer cannot be read, or the frame alone is longer than `max_seq_len`.
    """
    languages = source.manifest.languages
    pair = (languages[0], languages[-1])
    return SourceFrame(
        pieces=["<src>", "<SOURCE LANGUAGE>", "… text …", "</s>", "<tgt>", "<TARGET LANGUAGE>"],
        example=f"an empty text from {pair[0]} to {pair[1]}",
        example_ids=open_tokenizer(source).encode_source("", pair, max_length=max_seq_len).ids,
        too_long=f"cut the text so that the frame and the text together have at most {max_seq_len} ids",
        control_tokens="encode only the text with SentencePiece and put the frame's ids around it; ids of control "
        "tokens that come out of the text itself must not be fed: spell such a piece in characters",
    )


def write_export_config(source: Artifact, details: OnnxExportDetails, frame: SourceFrame, directory: Path) -> None:
    """Write the file for graphs that lie in `directory`."""
    text = msgspec.json.format(msgspec.json.encode(_config(source, details, frame, directory)), indent=2)
    (directory / FILE_NAME).write_bytes(text + b"\n")


def _config(source: Artifact, details: OnnxExportDetails, frame: SourceFrame, directory: Path) -> ExportConfig:
    tokenizer = open_tokenizer(source)
    model = source.manifest.model
    languages = source.manifest.languages
    described = (
        _optimized(details, model, directory)
        if details.profile == "optimized"
        else _portable(details, model, directory)
    )
    return ExportConfig(
        profile=details.profile,
        opset_version=details.opset_version,
        weights=details.weights,
        max_seq_len=details.max_seq_len,
        files=_files(directory, described.graph_files),
        model={
            "vocab_size": model.vocab_size,
            "d_model": model.d_model,
            "n_encoder_layers": model.n_encoder_layers,
            "n_decoder_layers": model.n_decoder_layers,
            "n_heads": model.n_heads,
            "n_kv_heads": model.n_kv_heads,
            "head_dim": model.head_dim,
            "d_ff": model.d_ff,
        },
        special_ids={"pad": model.pad_token_id, "bos": BOS_ID, "eos": EOS_ID, "unk": UNK_ID},
        language_ids={language: tokenizer.language_id(language) for language in languages},
        source_frame=frame,
        graphs=described.graphs,
        dimensions=described.dimensions,
        decoding_steps=described.decoding_steps,
        decoding_defaults=msgspec.to_builtins(source.manifest.decoding),
        arithmetic=described.arithmetic,
        cpu_note=described.cpu_note,
    )


class _Described(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the file that depends on the profile."""

    graph_files: dict[str, str]
    graphs: dict[str, GraphFile]
    dimensions: dict[str, str]
    decoding_steps: list[str]
    arithmetic: list[str]
    cpu_note: str


def _portable(details: OnnxExportDetails, model: ModelConfig, directory: Path) -> _Described:
    operators = _OPERATORS.get(details.weights, "standard operators")
    return _Described(
        graph_files={
            "encoder.onnx": f"graph of {operators}, run once a sentence",
            "decoder.onnx": f"graph of {operators}, run once a target token",
            "encoder_optimized.onnx": "the encoder with ONNX Runtime's fused operators",
            "decoder_optimized.onnx": "the decoder with ONNX Runtime's fused operators",
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
        decoding_steps=_decoding_steps(details),
        arithmetic=[*_arithmetic(details), *([_EXACT] if details.exact else [])],
        cpu_note=_CPU_NOTES[details.weights],
    )


def _optimized(details: OnnxExportDetails, model: ModelConfig, directory: Path) -> _Described:
    is_int8 = details.weights == "int8"
    arithmetic = {"int8": description.INT8_ARITHMETIC, "int4": description.GROUPS_ARITHMETIC}
    encoder, decoder = ort_stacks.ort_encoder_interface(model), ort_stacks.ort_decoder_interface(model)
    return _Described(
        graph_files=description.FILES,
        graphs=(_shortlist_graphs(model, directory) if details.shortlist else {})
        | {
            "encoder": GraphFile(file=ENCODER, inputs=encoder.inputs, outputs=encoder.outputs),
            "decoder": GraphFile(
                file=DECODER,
                batch_file=BATCH_DECODER if (directory / BATCH_DECODER).is_file() else None,
                inputs=decoder.inputs,
                outputs=decoder.outputs,
            ),
        },
        dimensions=description.dimensions(details),
        decoding_steps=description.decoding_steps(details),
        arithmetic=arithmetic.get(details.weights) or _arithmetic(details),
        cpu_note=description.CPU_NOTE if is_int8 else _CPU_NOTES[details.weights],
    )


def _shortlist_graphs(model: ModelConfig, directory: Path) -> dict[str, GraphFile]:
    words, decoder = ort_stacks.candidate_rows_interface(model), ort_stacks.shortlist_interface(model)
    return {
        "words": GraphFile(file=WORDS, inputs=words.inputs, outputs=words.outputs),
        "shortlist_decoder": GraphFile(
            file=SHORTLIST_DECODER,
            batch_file=SHORTLIST_BATCH_DECODER if (directory / SHORTLIST_BATCH_DECODER).is_file() else None,
            inputs=decoder.inputs,
            outputs=decoder.outputs,
        ),
    }


def _files(directory: Path, graph_files: dict[str, str]) -> dict[str, str]:
    """What each file of the artifact is."""
    known = {
        **graph_files,
        "weights.bin": "weights of all graphs; keep it beside them under this name",
        SHORTLIST_NAME: "vocabulary shortlist: which words a source can need",
        "weights_optimized.bin": "more constants of the optimized graphs; keep it beside them",
    }
    present = {name: meaning for name, meaning in known.items() if (directory / name).is_file()}
    return {
        **present,
        TOKENIZER_NAME: "SentencePiece model",
        FILE_NAME: "this file",
        MANIFEST_NAME: "LingoLite's manifest with the SHA-256 of each file; an app does not need it",
    }


def _graph(index: int, interface: Interface, directory: Path) -> GraphFile:
    optimized = GRAPHS["optimized"][index]
    return GraphFile(
        file=GRAPHS["portable"][index],
        optimized_file=optimized if (directory / optimized).is_file() else None,
        inputs=interface.inputs,
        outputs=interface.outputs,
    )


def _decoding_steps(details: OnnxExportDetails) -> list[str]:
    return [
        "encode the text with SentencePiece and frame it as in source_frame",
        "pad a batch on the right with the id `pad`; source_mask is true on real tokens and false on padding",
        "run the encoder once; keep its cross_* outputs for every call of the decoder",
        "start with tokens = `bos` for each row and past_* arrays of length 0",
        "run the decoder with tokens, source_mask, cross_* and past_*",
        "greedy search: the next token is the largest of the logits, the smaller id on a tie",
        "feed present_* back as past_* and the chosen tokens as tokens",
        "a row ends with `eos`, or at max_length of decoding_defaults; drop ended rows from every array, or ignore "
        f"what follows; never call the decoder with a past of {details.max_seq_len} or longer",
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
    "q_x = clip(round_half_even(x / s_x) + z, 0, 255), in uint8 (QuantizeLinear)",
    "the graphs show each product as a MatMul of two DequantizeLinear (QDQ); ONNX Runtime computes it in integers "
    "(MatMulIntegerToFloat): sums are exact in int32, and y = float32(sum) * (s_x * s_w)",
    "a runtime that does not know the pattern multiplies the float32 that the integers stand for",
]

_ARITHMETIC = {
    "float32": ["float32 throughout"],
    "float16": ["weights are stored as float16 and cast to float32 in the graph; computation is float32"],
    "bfloat16": ["weights are stored as bfloat16 and cast to float32 in the graph; computation is float32"],
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
        "activations are quantized by row as they come: s_x = max(max|x|, 1e-30) / 127",
        "q_x = round_half_even(x / s_x), stored as uint8 with zero point 128",
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

_ANY_CPU = "the graphs compute in float32 and are right on every CPU"
_CPU_NOTES = {
    "float32": _ANY_CPU,
    "float16": _ANY_CPU,
    "bfloat16": _ANY_CPU,
    "int4": _ANY_CPU,
    "int8": "exact on ARM and on x86 with VNNI; on x86 without VNNI (before Cascade Lake, Zen 4) onnxruntime's 8-bit "
    "products saturate in 16 bits (onnxruntime#14642) and translations are wrong: set its session option "
    "session.x64quantprecision to 1 there, which is exact, or use the float or fp16 export",
}
