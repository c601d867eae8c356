"""Frames: the ids around a source text and before a target, whatever kind of tokenizer the text goes through.

Owns what all tokenizers do alike: tags of languages, the cut of an over-long source, and reading the languages back
from a framed source. How text becomes ids is a `Side`'s business, one for sources and one for targets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import SOURCE_TAG, TARGET_TAG, DecodingIds, TokenizerDescription
from lingolite_cli.tokenization.tokenizer import Side, SourceIds


class FramedTokenizer:
    """See `lingolite_cli.tokenization.tokenizer.Tokenizer`. Kinds of tokenizers are its subclasses.

    Args:
        description: special ids and frame.
        source: the side of sources.
        target: the side of targets.
        languages: languages that a source can be framed for.
        tags: ids in sources of the tags of languages, in the order of ids.
    """

    def __init__(
        self,
        description: TokenizerDescription,
        *,
        source: Side,
        target: Side,
        languages: Sequence[str],
        tags: Mapping[str, int],
    ) -> None:
        self._description = description
        self._source = source
        self._target = target
        self._languages = tuple(languages)
        self._tags = dict(tags)

    @property
    def description(self) -> TokenizerDescription:
        """See `Tokenizer`."""
        return self._description

    @property
    def sides(self) -> tuple[Side, Side]:
        """What sources and what targets are read with."""
        return self._source, self._target

    @property
    def source_pieces(self) -> tuple[str, ...]:
        """See `Tokenizer`."""
        return self._source.pieces

    @property
    def target_pieces(self) -> tuple[str, ...]:
        """See `Tokenizer`."""
        return self._target.pieces

    @property
    def languages(self) -> tuple[str, ...]:
        """See `Tokenizer`."""
        return self._languages

    @property
    def language_ids(self) -> dict[str, int]:
        """See `Tokenizer`."""
        return dict(self._tags)

    @property
    def source_control_ids(self) -> frozenset[int]:
        """See `Tokenizer`."""
        return self._source.control_ids

    @property
    def spelling_ids(self) -> frozenset[int]:
        """See `Tokenizer`."""
        return self._target.spelling_ids

    def check_languages(self, languages: tuple[str, str]) -> None:
        """See `Tokenizer`."""
        for language, place in zip(languages, (SOURCE_TAG, TARGET_TAG), strict=True):
            if self._names(place) or language not in self._languages:
                self._tag_id(language)

    def encode_source(self, text: str, languages: tuple[str, str], *, max_length: int) -> SourceIds:
        """See `Tokenizer`. In LingoLite's own frame: `<src> <en> … </s> <tgt> <da>`."""
        frame = self._description.frame
        room = max_length - frame.num_source_tokens
        if room < 1:
            raise LingoLiteError(
                f"a model with {max_length} positions cannot read a source: the frame alone takes "
                f"{frame.num_source_tokens}",
                hint="choose a model with more positions",
            )
        self.check_languages(languages)
        prefix, suffix = (
            self._frame_ids(self._source, pieces, languages) for pieces in (frame.source_prefix, frame.source_suffix)
        )
        body, num_before = self._body(text, languages)
        ids = [*prefix, *body[:room], *suffix]
        return SourceIds(ids, len(body) + frame.num_source_tokens, len(body) - num_before)

    def framed_languages(self, ids: Sequence[int]) -> tuple[str | None, str | None]:
        """See `Tokenizer`."""
        frame = self._description.frame
        num_text = len(ids) - frame.num_source_tokens
        if num_text < 0:
            return None, None
        named = {id: language for language, id in self._tags.items()}
        pieces = (*frame.source_prefix, *([""] * num_text), *frame.source_suffix)
        places = {
            piece: named.get(id) for piece, id in zip(pieces, ids, strict=True) if piece in (SOURCE_TAG, TARGET_TAG)
        }
        if None in places.values():
            return None, None
        return places.get(SOURCE_TAG), places.get(TARGET_TAG)

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._source.encode(text)

    def encode_target(self, text: str) -> list[int]:
        """See `Tokenizer`."""
        return self._target.encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`."""
        return self._target.decode(ids)

    def decoding_ids(self, languages: tuple[str, str]) -> DecodingIds:
        """See `Tokenizer`."""
        self.check_languages(languages)
        described = self._description
        return DecodingIds(
            pad=described.ids.pad,
            start=described.ids.start,
            end=described.ids.end,
            prefix=tuple(self._frame_ids(self._target, described.frame.target_prefix, languages)),
            never_generated=described.never_generated,
        )

    def _body(self, text: str, languages: tuple[str, str]) -> tuple[list[int], int]:
        """What stands inside the frame of a source, and how many of the ids come before the text itself."""
        return self.encode(text), 0

    def _tag_id(self, language: str) -> int:
        if language not in self._tags:
            raise LingoLiteError(
                f"the model does not know the language `{language}`",
                hint=did_you_mean(language, self.languages),
            )
        return self._tags[language]

    def _frame_ids(self, side: Side, pieces: Iterable[str], languages: tuple[str, str]) -> list[int]:
        """Ids of a part of the frame."""
        frame = self._description.frame
        tags = {SOURCE_TAG: frame.tag(languages[0]), TARGET_TAG: frame.tag(languages[1])}
        found = [side.id(tags.get(piece, piece)) for piece in pieces]
        assert None not in found, "the subclass has checked the pieces of the frame, and `check_languages` the tags"
        return [id for id in found if id is not None]

    def _names(self, place: str) -> bool:
        """Whether the frame has a place for the tag of that language."""
        frame = self._description.frame
        return place in (*frame.source_prefix, *frame.source_suffix, *frame.target_prefix)
