"""Sides of foreign tokenizers: SentencePiece models whose ids are their own, and those whose pieces have ids in a list.

Owns how pieces become ids there. Which of them are control tokens is told by the tokenizer that is made of the sides.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import PieceRules
from lingolite_cli.tokenization.processors import pieces_of, spelling_ids

WORD_START = "\u2581"
"""SentencePiece's sign for a space."""


class PieceSide(ABC):
    """See `lingolite_cli.tokenization.tokenizer.Side`.

    Args:
        processor: the SentencePiece model.
        pieces: all pieces in the order of their ids.
        unknown: the id for text that no piece spells.
        controls: ids of control tokens.
        where: the file that the pieces come from, for messages.

    Raises:
        LingoLiteError: there is a piece twice.
    """

    def __init__(
        self,
        processor: sentencepiece.SentencePieceProcessor,
        pieces: tuple[str, ...],
        *,
        unknown: int,
        controls: Iterable[int],
        where: Path,
    ) -> None:
        self._processor = processor
        self._pieces = pieces
        self._ids = {piece: id for id, piece in enumerate(pieces)}
        if len(self._ids) < len(pieces):
            double = next(piece for id, piece in enumerate(pieces) if self._ids[piece] != id)
            raise LingoLiteError(f"{where} has the piece {double!r} twice", hint="two ids cannot have one piece")
        self._unknown = unknown
        self._controls = frozenset({unknown, *controls})

    @property
    def pieces(self) -> tuple[str, ...]:
        """See `Side`."""
        return self._pieces

    @property
    def control_ids(self) -> frozenset[int]:
        """See `Side`."""
        return self._controls

    @property
    def unknown(self) -> int:
        """See `Side`."""
        return self._unknown

    @property
    def moved(self) -> int:
        """See `Side`."""
        return 0

    @property
    def spellings(self) -> dict[int, tuple[int, ...]]:
        """See `Side`."""
        return {id: tuple(self.spelled([id])) for id in sorted(self._controls) if id != self._unknown}

    @property
    @abstractmethod
    def spelling_ids(self) -> frozenset[int]:
        """See `Side`."""

    def bar(self, ids: Iterable[int]) -> None:
        """Make these ids control tokens as well."""
        self._controls |= set(ids)

    def id(self, piece: str) -> int | None:
        """See `Side`."""
        return self._ids.get(piece)

    def encode(self, text: str) -> list[int]:
        """See `Side`."""
        return self.spelled(self.encode_all(text))

    @abstractmethod
    def encode_all(self, text: str) -> list[int]:
        """Ids of text in which a control token that is spelled out is one."""

    def spelled(self, ids: Sequence[int]) -> list[int]:
        """`ids` with control tokens a character at a time."""
        found: list[int] = []
        for id in ids:
            is_typed = id in self._controls and id != self._unknown
            found.extend(map(self._character, self._pieces[id]) if is_typed else [id])
        return found

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """See `Side`."""

    def _character(self, character: str) -> int:
        return self._ids.get(character, self._unknown)


class ModelSide(PieceSide):
    """Ids follow from those of the SentencePiece model: they move with the pieces that come before its own.

    Args:
        processor: the model.
        rules: which pieces come before and after its own.
        unknown: the id for text that no piece spells.
        where: the model's file, for messages.
    """

    def __init__(
        self, processor: sentencepiece.SentencePieceProcessor, rules: PieceRules, *, unknown: int, where: Path
    ) -> None:
        own = pieces_of(processor, where=where)
        self._moved = len(rules.first) - rules.num_replaced
        self._own_ids = range(len(rules.first), len(own) + self._moved)
        controls = (id for id in self._own_ids if processor.IsControl(id - self._moved))
        pieces = (*rules.first, *own[rules.num_replaced :], *rules.after)
        outside = (id for id in range(len(pieces)) if id not in self._own_ids)
        super().__init__(processor, pieces, unknown=unknown, controls=[*controls, *outside], where=where)

    @property
    def moved(self) -> int:
        """See `Side`."""
        return self._moved

    @property
    def spelling_ids(self) -> frozenset[int]:
        """See `Side`."""
        own = spelling_ids(self._processor, pieces_of(self._processor, where=Path()))
        return frozenset(id + self._moved for id in own if id + self._moved in self._own_ids)

    def encode_all(self, text: str) -> list[int]:
        """See `PieceSide`."""
        unknown, moved = self._processor.unk_id(), self._moved
        return [self._unknown if own == unknown else own + moved for own in self._processor.EncodeAsIds(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Side`."""
        return str(self._processor.DecodeIds([int(id) - self._moved for id in ids if id not in self._controls]))


class ListSide(PieceSide):
    """Pieces of a SentencePiece model have the ids that a list gives them; what it lacks is unknown.

    Args:
        processor: the model.
        pieces: the list, in the order of ids.
        where: the list's file, for messages.

    Raises:
        LingoLiteError: there is a piece twice, or none for what is unknown.
    """

    def __init__(self, processor: sentencepiece.SentencePieceProcessor, pieces: Sequence[str], *, where: Path) -> None:
        unknown_piece = str(processor.IdToPiece(processor.unk_id()))
        if unknown_piece not in pieces:
            raise LingoLiteError(
                f"{where} has no piece {unknown_piece}",
                hint="vocabulary and SentencePiece model are of different models",
            )
        unknown = pieces.index(unknown_piece)
        controls = (id for id, piece in enumerate(pieces) if processor.IsControl(processor.PieceToId(piece)))
        super().__init__(processor, tuple(pieces), unknown=unknown, controls=controls, where=where)

    @property
    def spelling_ids(self) -> frozenset[int]:
        """See `Side`."""
        own = self._processor
        pieces = enumerate(self._pieces)
        return frozenset(id for id, piece in pieces if len(piece) == 1 or own.IsByte(own.PieceToId(piece)))

    def encode_all(self, text: str) -> list[int]:
        """See `PieceSide`."""
        # By the piece and not by the model's id: text that the model does not know may be a piece of the list.
        return [self._ids.get(piece, self._unknown) for piece in self._processor.EncodeAsPieces(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Side`."""
        kept = [self._pieces[id] for id in ids if id not in self._controls]
        # A piece that only the list has comes out as it is, with its sign for a space.
        return str(self._processor.DecodePieces(kept)).replace(WORD_START, " ")


def read_list(data: bytes, *, where: Path) -> list[str]:
    """Pieces in the order of their ids, from a JSON list.

    Raises:
        LingoLiteError: it is not one.
    """
    try:
        pieces = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LingoLiteError(
            f"{where} is not JSON: {str(error)[:200]}", hint="make or copy the artifact again"
        ) from None
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise LingoLiteError(f"{where} is not a list of pieces", hint="make or copy the artifact again")
    return pieces
