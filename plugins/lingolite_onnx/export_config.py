"""`export_config.json`: what an app's developer must know to run the graphs, without LingoLite and without Python.

Owns the file's format and what it says of the model and of text. What it says of graphs comes from their profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lingolite_cli.artifact import (
    MANIFEST_NAME,
    SHORTLIST_NAME,
    TARGET_TOKENIZER_NAME,
    TARGET_VOCABULARY_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
    Artifact,
)
from lingolite_cli.tokenization.description import SOURCE_TAG, TARGET_TAG, Frame, TokenizerDescription
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.interface import Value

FILE_NAME = "export_config.json"

_TOKENIZER_FILES = {
    TOKENIZER_NAME: "SentencePiece model",
    TARGET_TOKENIZER_NAME: "SentencePiece model of targets; the other is that of sources",
    VOCABULARY_NAME: "pieces in the order of their ids: SentencePiece gives pieces, and this their ids",
    TARGET_VOCABULARY_NAME: "the same of targets; the other is that of sources",
}


class GraphFile(msgspec.Struct, frozen=True, kw_only=True):
    """A graph, others that compute the same, and its inputs and outputs."""

    file: str
    optimized_file: str | None = None
    batch_file: str | None = None
    # UNSET is not encoded: files of exports without it keep their bytes.
    ort_file: str | msgspec.UnsetType = msgspec.UNSET
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


class SourceFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The ids around a source text, shown on an empty one."""

    pieces: list[str]
    example: str
    example_ids: list[int]
    too_long: str
    control_tokens: str


class ProfileDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the file that depends on the profile.

    Attributes are those of `ExportConfig`, and `graph_files` what `files` says of graphs.
    """

    graph_files: dict[str, str]
    graphs: dict[str, GraphFile]
    dimensions: dict[str, str]
    decoding_steps: list[str]
    arithmetic: list[str]
    cpu_note: str


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
    languages, frame = source.manifest.languages, source.manifest.tokenizer_description.frame
    pair = (languages[0], languages[-1])
    return SourceFrame(
        pieces=_shown([*frame.source_prefix, "… text …", *frame.source_suffix], frame),
        example=f"an empty text from {pair[0]} to {pair[1]}",
        example_ids=open_tokenizer(source).encode_source("", pair, max_length=max_seq_len).ids,
        too_long=f"cut the text so that the frame and the text together have at most {max_seq_len} ids",
        control_tokens="encode only the text with SentencePiece and put the frame's ids around it; ids of control "
        "tokens that come out of the text itself must not be fed: spell such a piece in characters",
    )


def export_config(
    source: Artifact, details: OnnxExportDetails, frame: SourceFrame, described: ProfileDescription, directory: Path
) -> bytes:
    """The file for graphs that lie in `directory`."""
    text = msgspec.json.format(msgspec.json.encode(_config(source, details, frame, described, directory)), indent=2)
    return text + b"\n"


def _config(
    source: Artifact, details: OnnxExportDetails, frame: SourceFrame, described: ProfileDescription, directory: Path
) -> ExportConfig:
    tokenizer = open_tokenizer(source)
    special, tags = tokenizer.description.ids, tokenizer.language_ids
    model = source.manifest.model
    languages = source.manifest.languages
    return ExportConfig(
        profile=details.profile,
        opset_version=details.opset_version,
        weights=details.weights,
        max_seq_len=details.max_seq_len,
        files=_files(source, directory, described.graph_files),
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
        special_ids={"pad": model.pad_token_id, "bos": special.start, "eos": special.end, "unk": special.unknown},
        language_ids={language: tags[language] for language in languages if language in tags},
        source_frame=frame,
        graphs=described.graphs,
        dimensions=described.dimensions,
        decoding_steps=[*described.decoding_steps, *_target_steps(tokenizer.description)],
        decoding_defaults=msgspec.to_builtins(source.manifest.decoding),
        arithmetic=described.arithmetic,
        cpu_note=described.cpu_note,
    )


def _target_steps(description: TokenizerDescription) -> list[str]:
    """What decoding needs beyond LingoLite's own format."""
    steps = []
    if description.frame.target_prefix:
        pieces = " ".join(_shown(description.frame.target_prefix, description.frame))
        steps.append(f"after `bos` feed {pieces}, whatever the logits are; the translation begins after them")
    if description.never_generated:
        steps.append(f"never choose the ids {', '.join(map(str, description.never_generated))}")
    return steps


def _shown(pieces: Sequence[str], frame: Frame) -> list[str]:
    """A part of the frame as a reader sees it, with a name in the place of each language's tag."""
    tags = {SOURCE_TAG: frame.tag("SOURCE LANGUAGE"), TARGET_TAG: frame.tag("TARGET LANGUAGE")}
    return [tags.get(piece, piece) for piece in pieces]


def _files(source: Artifact, directory: Path, graph_files: dict[str, str]) -> dict[str, str]:
    """What each file of the artifact is."""
    known = {
        **graph_files,
        "weights.bin": "weights of all graphs; keep it beside them under this name",
        SHORTLIST_NAME: "vocabulary shortlist: which words a source can need",  # bytes of every export, see arithmetic
        "weights_optimized.bin": "more constants of the optimized graphs; keep it beside them",
    }
    present = {name: meaning for name, meaning in known.items() if (directory / name).is_file()}
    return {
        **present,
        **{name: _TOKENIZER_FILES[name] for name in source.tokenizer_names},
        FILE_NAME: "this file",
        MANIFEST_NAME: "LingoLite's manifest with the SHA-256 of each file; an app does not need it",
    }
