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
    """

    tokenizer: str
    preset: str | None = None
    n_heads: _Positive | None = None
    n_kv_heads: _Positive | None = None
    max_seq_len: _Positive | None = None
    trained_on: Literal["sentences", "documents"] = "sentences"
