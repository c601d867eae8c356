"""Text to ids and back, in the format that LingoLite models are trained on.

Owns the SentencePiece model, the control tokens and the frame around a source. A control token can only be put
there by this module: a `<tgt>` typed inside a text is spelled out in ordinary pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import sentencepiece

from lingolite_cli.errors import LingoLiteError, did_you_mean

PAD_ID, BOS_ID, EOS_ID, UNK_ID = 0, 1, 2, 3
_FIXED = {"<pad>": PAD_ID, "<s>": BOS_ID, "</s>": EOS_ID, "<unk>": UNK_ID}
FRAME_LENGTH = 5
"""Control tokens around a source, in the way that `Tokenizer.encode_source` puts them."""


class SourceIds(msgspec.Struct, frozen=True):
    """A framed source. `num_tokens` is its length before it was cut to the model's positions."""

    ids: list[int]
    num_tokens: int

    @property
    def is_truncated(self) -> bool:
        """Whether the source lost tokens."""
        return len(self.ids) < self.num_tokens

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing inside the frame."""
        return self.num_tokens == FRAME_LENGTH


class Tokenizer:
    """A SentencePiece model with LingoLite's control tokens.

    Args:
        path: the `.model` file.

    Raises:
        LingoLiteError: it cannot be read, or its control tokens are not where LingoLite expects them.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise LingoLiteError(f"no tokenizer at {path}")
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.Load(str(path))
        except (RuntimeError, OSError) as error:
            raise LingoLiteError(f"{path} is not a SentencePiece model: {error}") from None
        self._check_control_tokens(Path(path))
        controls = self._control_pieces()
        self._spelled_out = {id: self._spell(piece) for piece, id in controls}
        self._src = self._id("<src>")
        self._tgt = self._id("<tgt>")
        self._languages = tuple(piece[1:-1] for piece, _ in controls if piece not in ("<src>", "<tgt>", *_FIXED))

    @property
    def vocab_size(self) -> int:
        """Number of pieces, control tokens included."""
        return int(self._processor.GetPieceSize())

    @property
    def pieces(self) -> list[str]:
        """All pieces, control tokens included, in the order of their ids; no two are the same."""
        return [str(self._processor.IdToPiece(id)) for id in range(self.vocab_size)]

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with a tag, in the order of their ids."""
        return self._languages

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids of control tokens, which no text has."""
        return frozenset(self._spelled_out)

    @property
    def spelling_ids(self) -> frozenset[int]:
        """Ids of single characters and bytes, which spell what no longer piece does."""
        pieces = enumerate(self.pieces)
        return frozenset(id for id, piece in pieces if len(piece) == 1 or self._processor.IsByte(id))

    def encode_source(self, text: str, languages: tuple[str, str], *, max_length: int) -> SourceIds:
        """`<src> <en> … </s> <tgt> <da>`, at most `max_length` ids; a cut keeps the prefix and the suffix.

        Args:
            text: one sentence.
            languages: source and target language, such as ("en", "da").
            max_length: the model's positions.

        Raises:
            LingoLiteError: a language has no tag, or there is no room for a token of text.
        """
        if max_length <= FRAME_LENGTH:
            raise LingoLiteError(
                f"a model with {max_length} positions cannot read a source: the frame alone takes {FRAME_LENGTH}",
                hint="choose a model with more positions",
            )
        prefix = [self._src, self.language_id(languages[0])]
        suffix = [EOS_ID, self._tgt, self.language_id(languages[1])]
        body = self.encode(text)
        room = max_length - FRAME_LENGTH
        return SourceIds([*prefix, *body[:room], *suffix], len(body) + FRAME_LENGTH)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, without a frame and without a control token."""
        ids: list[int] = []
        for id in self._processor.EncodeAsIds(text):
            ids.extend(self._spelled_out.get(id, (id,)))
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of target ids; control tokens are dropped."""
        plain = [int(id) for id in ids if id > UNK_ID and id not in self._spelled_out]
        return str(self._processor.DecodeIds(plain))

    def language_id(self, language: str) -> int:
        """Id of a language's tag.

        Raises:
            LingoLiteError: the tokenizer has none.
        """
        if language not in self.languages:
            raise LingoLiteError(
                f"the model does not know the language `{language}`",
                hint=did_you_mean(language, self.languages),
            )
        return self._id(f"<{language}>")

    def _id(self, piece: str) -> int:
        return int(self._processor.PieceToId(piece))

    def _control_pieces(self) -> Sequence[tuple[str, int]]:
        """Control tokens stand first, up to the first piece that is not written <…>, or is a byte <0x..>."""
        found = []
        for id in range(self.vocab_size):
            piece = self._processor.IdToPiece(id)
            if not (piece.startswith("<") and piece.endswith(">")) or self._processor.IsByte(id):
                break
            found.append((piece, id))
        return found

    def _spell(self, piece: str) -> tuple[int, ...]:
        """`piece` in ordinary pieces: one a character, or its UTF-8 bytes where there is none."""
        ids: list[int] = []
        for character in piece:
            id = self._id(character)
            ids.extend([id] if id != UNK_ID else [self._id(f"<0x{byte:02X}>") for byte in character.encode()])
        return tuple(ids)

    def _check_control_tokens(self, path: Path) -> None:
        expected = {**_FIXED, "<src>": None, "<tgt>": None}
        for piece, id in expected.items():
            seen = self._id(piece)
            missing = seen == UNK_ID and piece != "<unk>"
            if missing or (id is not None and seen != id):
                raise LingoLiteError(
                    f"{path} is not a LingoLite tokenizer: `{piece}` "
                    + ("is missing" if missing else f"has id {seen}, not {id}"),
                    hint="train it with <pad> 0, <s> 1, </s> 2, <unk> 3 and <src>, <tgt> and language tags "
                    "as user-defined symbols",
                )
