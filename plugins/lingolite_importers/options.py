"""Options of the importers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Positive = Annotated[int, Meta(ge=1)]


class CheckpointOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `lingolite`; see `lingolite_cli.model.bundle.import_checkpoint`.

    Attributes:
        tokenizer: the SentencePiece model, or a directory that holds one.
        preset: tiny, small, medium or large, for a missing config.
        n_heads: attention heads, for a missing config.
        n_kv_heads: key/value heads; default: from the shapes.
        max_seq_len: positions; default: those of the config or the preset, or 512.
        trained_on: what the model was trained on.
        licence: of the weights, for the manifest; a checkpoint does not state it.
    """

    tokenizer: str
    preset: str | None = None
    n_heads: _Positive | None = None
    n_kv_heads: _Positive | None = None
    max_seq_len: _Positive | None = None
    trained_on: Literal["sentences", "documents"] = "sentences"
    licence: str | None = None


class _Foreign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What importers of foreign formats have in common.

    Attributes:
        languages: source and target language, `en-pt`, or `pt-BR:en` where a language has a hyphen; of a model of many
            languages, the two that the bundle is for. Default: all languages that the model names.
        licence: of the weights, for the manifest; default: what the model says of itself.
        max_seq_len: positions; default: those of the model, or 512.
    """

    languages: str | None = None
    licence: Annotated[str, Meta(min_length=1)] | None = None
    max_seq_len: _Positive | None = None

    def __post_init__(self) -> None:
        parts = None if self.languages is None else _parts(self.languages)
        if parts is not None and (len(parts) != 2 or parts[0] == parts[1]):
            raise ValueError(f"languages must be two different ones, such as en-pt, not {self.languages}")

    @property
    def pair(self) -> tuple[str, str] | None:
        """Source and target language, if they are given."""
        if self.languages is None:
            return None
        source, target = _parts(self.languages)
        return source, target


class MarianOptions(_Foreign, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `marian`.

    Attributes:
        weights: what becomes of integers. `int8` keeps them, for products whose activations are quantized by row;
            `static` too, with the calibrated ranges (alphas) of the file; `float` makes float32 of them.
        source_spm: the SentencePiece model of sources, or of both sides.
        target_spm: that of targets, where it is another one.
        vocabulary: a `vocab.yml` from pieces to ids, where they are not those of the SentencePiece model; of sources,
            or of both sides.
        target_vocabulary: that of targets, where it is another one.
        shortlist: a `lex.*.s2t.bin`.
    """

    weights: Literal["int8", "static", "float"] = "int8"
    source_spm: str | None = None
    target_spm: str | None = None
    vocabulary: str | None = None
    target_vocabulary: str | None = None
    shortlist: str | None = None


class HuggingFaceOptions(_Foreign, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of `hugging-face`.

    Attributes:
        text_prefix: text before each source, such as `translate {source} to {target}: `; default: what the model says.
    """

    text_prefix: str | None = None


def _parts(languages: str) -> list[str]:
    return [part for part in languages.split(":" if ":" in languages else "-") if part]
