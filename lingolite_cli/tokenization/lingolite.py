"""A SentencePiece model with LingoLite's control tokens.

Owns which pieces are control tokens, and how one that is typed in a text is spelled. A control token can only be put
into ids by this module: a `<tgt>` inside a text becomes ordinary pieces. Ids and frame come from the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import SOURCE_TAG, TARGET_TAG, TokenizerDescription
from lingolite_cli.tokenization.framing import FramedTokenizer
from lingolite_cli.tokenization.language_codes import is_language_code
from lingolite_cli.tokenization.processors import load_processor, pieces_of, spelling_ids

UNKNOWN_PIECE = "<unk>"


class LingoLiteTokenizer(FramedTokenizer):
    """See `lingolite_cli.tokenization.tokenizer.Tokenizer`.

    Args:
        model: the content of the `.model` file.
        description: its special ids and frame.
        where: the file, for messages.
        languages: languages of the model. They count where the frame names no source or no target language, and where
            their codes are not known to be languages'; the others have tags among the control tokens.

    Raises:
        LingoLiteError: it cannot be read, or its control tokens are not where the description expects them.
    """

    def __init__(
        self, model: bytes, description: TokenizerDescription, *, where: Path, languages: Sequence[str] = ()
    ) -> None:
        side = _LingoLiteSide(load_processor(model, where=where), description, where=where, languages=languages)
        tags = side.language_tags
        # Languages that need no tag, because the frame does not name the source or the target language.
        super().__init__(description, source=side, target=side, languages=(), tags=tags)
        untagged = () if self._names(SOURCE_TAG) and self._names(TARGET_TAG) else languages
        self._languages = tuple(dict.fromkeys([*tags, *untagged]))


class _LingoLiteSide:
    """See `lingolite_cli.tokenization.tokenizer.Side`; sources and targets have the same."""

    def __init__(
        self,
        processor: sentencepiece.SentencePieceProcessor,
        description: TokenizerDescription,
        *,
        where: Path,
        languages: Sequence[str],
    ) -> None:
        self._processor = processor
        self.pieces = pieces_of(processor, where=where)
        self._description = description
        self._check_control_tokens(where)
        controls = dict(sorted(self._control_pieces(languages)))
        self.control_ids = frozenset(controls)
        # Not the unknown id: no text spells it, and what it stands for is unknown in other spellings too.
        spelled = {id: piece for id, piece in controls.items() if id != description.ids.unknown}
        self.spellings = {id: self._spell(piece) for id, piece in spelled.items()}
        self.language_tags = self._language_tags(controls)

    @property
    def spelling_ids(self) -> frozenset[int]:
        """See `Side`."""
        return spelling_ids(self._processor, self.pieces)

    @property
    def unknown(self) -> int:
        """See `Side`."""
        return self._description.ids.unknown

    @property
    def moved(self) -> int:
        """See `Side`."""
        return 0

    def id(self, piece: str) -> int | None:
        """See `Side`."""
        return self._id(piece) if self._has(piece) else None

    def encode(self, text: str) -> list[int]:
        """See `Side`."""
        ids: list[int] = []
        for id in self._processor.EncodeAsIds(text):
            ids.extend(self.spellings.get(id, (id,)))
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """See `Side`."""
        plain = [int(id) for id in ids if id not in self.control_ids]
        return str(self._processor.DecodeIds(plain))

    def _id(self, piece: str) -> int:
        return int(self._processor.PieceToId(piece))

    def _has(self, piece: str) -> bool:
        """Whether `piece` is in the vocabulary: SentencePiece gives the unknown id for any other."""
        return piece == UNKNOWN_PIECE or self._id(piece) != self._description.ids.unknown

    def _control_pieces(self, languages: Sequence[str]) -> Iterator[tuple[int, str]]:
        """Ids and pieces of control tokens: special ones, those of the frame, and tags of languages.

        A tag is that of a language of the model, or has a code that is known to be a language's. Other symbols that a
        user defined, such as `<br>`, are text: a model reads and writes them.
        """
        frame = self._description.frame
        for piece in (*special_pieces(self._description), *frame.pieces, *map(frame.tag, languages)):
            if self._has(piece):
                yield self._id(piece), piece
        for id, piece in enumerate(self.pieces):
            language = frame.tagged_language(piece)
            if self._processor.IsControl(id) or (language is not None and is_language_code(language)):
                yield id, piece

    def _language_tags(self, controls: dict[int, str]) -> dict[str, int]:
        """Ids of tags by language, in the order of ids."""
        frame = self._description.frame
        others = {*special_pieces(self._description), *frame.pieces}
        tagged = {id: frame.tagged_language(piece) for id, piece in controls.items() if piece not in others}
        found = {language: id for id, language in tagged.items()}
        return {language: id for language, id in found.items() if language is not None}

    def _spell(self, piece: str) -> tuple[int, ...]:
        """`piece` in ordinary pieces: one a character, or its UTF-8 bytes where there is none."""
        ids: list[int] = []
        unknown = self._description.ids.unknown
        for character in piece:
            id = self._id(character)
            ids.extend([id] if id != unknown else [self._id(f"<0x{byte:02X}>") for byte in character.encode()])
        return tuple(ids)

    def _check_control_tokens(self, path: Path) -> None:
        special = special_pieces(self._description)
        self._check_unknown(path)
        others = dict.fromkeys(piece for piece in self._description.frame.pieces if piece not in special)
        for piece, id in {**special, **others}.items():
            seen = self._id(piece)
            missing = not self._has(piece)
            if missing or (id is not None and seen != id):
                raise LingoLiteError(
                    f"{path} is not a LingoLite tokenizer: `{piece}` "
                    + ("is missing" if missing else f"has id {seen}, not {id}"),
                    hint=self._training_hint(),
                )

    def _check_unknown(self, path: Path) -> None:
        """Comes first: SentencePiece gives the unknown id for whatever is missing, and its own default for it is 0."""
        seen, expected = int(self._processor.unk_id()), self._description.ids.unknown
        if seen != expected:
            raise LingoLiteError(
                f"{path} is not a LingoLite tokenizer: `{UNKNOWN_PIECE}` has id {seen}, not {expected}",
                hint=self._training_hint(),
            )

    def _training_hint(self) -> str:
        """How SentencePiece is told to make a tokenizer of this description."""
        ids = self._description.ids
        others = self._description.frame.pieces
        symbols = ", ".join(piece for piece in others if piece not in special_pieces(self._description))
        bos = ids.start if ids.start not in (ids.pad, ids.end) else -1
        return (
            f"train it with --pad_id={ids.pad} --bos_id={bos} --eos_id={ids.end} --unk_id={ids.unknown}"
            + (f" and {symbols} and language tags" if symbols else " and language tags")
            + " as user-defined symbols"
        )


def special_pieces(description: TokenizerDescription) -> dict[str, int]:
    """Pieces of the special ids. A start that is padding or the end as well has no piece of its own."""
    ids = description.ids
    start = {} if ids.start in (ids.pad, ids.end) else {"<s>": ids.start}
    return {"<pad>": ids.pad, **start, "</s>": ids.end, UNKNOWN_PIECE: ids.unknown}
