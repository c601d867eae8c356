"""What the host expects of a tokenizer, whatever file it reads.

Owns the protocol. Kinds are chosen by `lingolite_cli.tokenization.opening`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from lingolite_cli.tokenization.description import DecodingIds, TokenizerDescription


class SourceIds(msgspec.Struct, frozen=True):
    """A framed source.

    Attributes:
        ids: at most as many as the model has positions.
        num_tokens: the length before it was cut.
        num_text_tokens: those of them that are inside the frame.
    """

    ids: list[int]
    num_tokens: int
    num_text_tokens: int

    @property
    def is_truncated(self) -> bool:
        """Whether the source lost tokens."""
        return len(self.ids) < self.num_tokens

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing inside the frame."""
        return not self.num_text_tokens


class Side(Protocol):
    """Text and ids of sources or of targets; a model with one vocabulary has the same side twice."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """All pieces in the order of their ids; no two are the same."""

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids of control tokens, which no text has."""

    @property
    def spelling_ids(self) -> frozenset[int]:
        """Ids of single characters and bytes."""

    @property
    def unknown(self) -> int:
        """The id for text that no piece spells."""

    @property
    def moved(self) -> int:
        """What an id is more than SentencePiece's own id of the piece; 0 where a list gives the ids."""

    @property
    def spellings(self) -> Mapping[int, tuple[int, ...]]:
        """The ids that stand for a control token that is typed in a text, by its id."""

    def id(self, piece: str) -> int | None:
        """The id of a piece; None where the vocabulary does not have it."""

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; control tokens are dropped."""


class Tokenizer(Protocol):
    """Text to ids and back. Open that of an artifact with `lingolite_cli.tokenization.opening.open_tokenizer`.

    A text cannot contain a control token: one that is typed is spelled in ordinary pieces. The same id may stand for
    different pieces in sources and in targets, where the model has a vocabulary for each.
    """

    @property
    def description(self) -> TokenizerDescription:
        """Its kind, special ids and frame."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """What sources and what targets are read with; the same where the model has one vocabulary for both."""

    @property
    def source_pieces(self) -> tuple[str, ...]:
        """All pieces of sources, control tokens included, in the order of their ids; no two are the same."""

    @property
    def target_pieces(self) -> tuple[str, ...]:
        """The same of targets. They are the pieces of sources where the model has one vocabulary for both."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that a source can be framed for."""

    @property
    def language_ids(self) -> dict[str, int]:
        """Ids in sources of tags by language, in the order of ids; only of languages that have one."""

    @property
    def source_control_ids(self) -> frozenset[int]:
        """Ids of control tokens of sources, which no text has."""

    @property
    def spelling_ids(self) -> frozenset[int]:
        """Ids in targets of single characters and bytes, which spell text that no longer piece covers."""

    def check_languages(self, languages: tuple[str, str]) -> None:
        """Refuse a source or target language that the tokenizer cannot frame.

        Raises:
            LingoLiteError: a language is unknown.
        """

    def encode_source(self, text: str, languages: tuple[str, str], *, max_length: int) -> SourceIds:
        """Ids of a framed source, at most `max_length`; a cut keeps the frame and loses the end of the text.

        Args:
            text: one sentence.
            languages: source and target language, such as ("en", "da").
            max_length: the model's positions.

        Raises:
            LingoLiteError: a language is unknown, or there is no room for a token of text.
        """

    def framed_languages(self, ids: Sequence[int]) -> tuple[str | None, str | None]:
        """Source and target language in the frame of `ids`; None for one that the frame does not name.

        Both are None where `ids` are not framed.
        """

    def encode(self, text: str) -> list[int]:
        """Ids of the plain text of a source, without a frame and without a control token."""

    def encode_target(self, text: str) -> list[int]:
        """The same of a target."""

    def decode(self, ids: Iterable[int]) -> str:
        """Text of target ids; control tokens are dropped."""

    def decoding_ids(self, languages: tuple[str, str]) -> DecodingIds:
        """What batching and search must know to translate between `languages`.

        Raises:
            LingoLiteError: a language is unknown.
        """
