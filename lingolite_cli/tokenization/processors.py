"""SentencePiece models in memory.

Owns reading them and what all kinds of tokenizers ask of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from lingolite_cli.errors import LingoLiteError


def load_processor(model: bytes, *, where: Path) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece model.

    Args:
        model: the content of its file.
        where: the file, for messages.

    Raises:
        LingoLiteError: it is not one.
    """
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(model)
    except (RuntimeError, OSError, UnicodeDecodeError) as error:  # the last where its message quotes a damaged piece
        raise _not_a_model(where, error) from None
    return processor


def model_type(model: bytes) -> str:
    """How a SentencePiece model segments text: `unigram`, `bpe`, `word` or `char`.

    Args:
        model: the content of a file that `load_processor` reads.
    """
    from sentencepiece.sentencepiece_model_pb2 import ModelProto, TrainerSpec

    described = ModelProto.FromString(model).trainer_spec
    return str(TrainerSpec.ModelType.Name(described.model_type)).lower()


def pieces_of(processor: sentencepiece.SentencePieceProcessor, *, where: Path) -> tuple[str, ...]:
    """All pieces in the order of their ids.

    Raises:
        LingoLiteError: one is not UTF-8.
    """
    try:
        return tuple(str(processor.IdToPiece(id)) for id in range(processor.GetPieceSize()))
    except UnicodeDecodeError as error:
        raise _not_a_model(where, error) from None


def spelling_ids(processor: sentencepiece.SentencePieceProcessor, pieces: Sequence[str]) -> frozenset[int]:
    """Ids of single characters and bytes."""
    return frozenset(id for id, piece in enumerate(pieces) if len(piece) == 1 or processor.IsByte(id))


def _not_a_model(where: Path, error: Exception) -> LingoLiteError:
    return LingoLiteError(f"{where} is not a SentencePiece model: {error}", hint="make or copy the artifact again")
