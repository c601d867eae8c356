"""Tokenizers of foreign models: one SentencePiece model or two, whose ids are their own or those of a list of pieces.

Owns which pieces are control tokens there, languages without a tag, and text that goes before a source. How pieces
become ids is `lingolite_cli.tokenization.sides`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import SOURCE_TAG, TARGET_TAG, TokenizerDescription
from lingolite_cli.tokenization.framing import FramedTokenizer
from lingolite_cli.tokenization.sides import WORD_START, PieceSide


class ForeignTokenizer(FramedTokenizer):
    """See `lingolite_cli.tokenization.tokenizer.Tokenizer`.

    Args:
        description: its special ids, frame and rules.
        source: the side of sources.
        target: the side of targets; `source` again where there is one vocabulary.
        languages: of the model.
        where: the file, for messages.

    Raises:
        LingoLiteError: a special id, a piece of the frame or the tag of a language is not in the vocabulary.
    """

    def __init__(
        self,
        description: TokenizerDescription,
        *,
        source: PieceSide,
        target: PieceSide,
        languages: Sequence[str],
        where: Path,
    ) -> None:
        frame = description.frame
        self._sides = source, target
        self._rules = description.rules
        tagged = {language: frame.tag(language) for language in languages}
        before, after = (*frame.source_prefix, *frame.source_suffix), frame.target_prefix
        for side, named in ((source, before), (target, after)):
            _check_pieces(side, [piece for piece in named if piece not in (SOURCE_TAG, TARGET_TAG)], where)
        side = source if {SOURCE_TAG, TARGET_TAG} & set(before) else target
        ids = {language: side.id(piece) for language, piece in tagged.items()}
        tags = sorted((id, language) for language, id in ids.items() if id is not None)
        super().__init__(
            description,
            source=source,
            target=target,
            languages=languages,
            tags={language: id for id, language in tags},
        )
        self._bar_control_tokens(tagged.values())

    def check_languages(self, languages: tuple[str, str]) -> None:
        """See `Tokenizer`."""
        allowed = self._rules.source_languages, self._rules.target_languages
        for language, known, way in zip(languages, allowed, ("from", "to"), strict=True):
            if language not in self._languages or (known and language not in known):
                raise LingoLiteError(
                    f"the model does not translate {way} `{language}`",
                    hint=f"{did_you_mean(language, known or self._languages)}; it translates {way} "
                    f"{', '.join((known or self._languages)[:10])}",
                )
        for language, place in zip(languages, (SOURCE_TAG, TARGET_TAG), strict=True):
            if self._names(place):
                self._tag_id(language)

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer`."""
        text = super().decode(ids)
        return text.strip() if self._rules.strips else text

    def _body(self, text: str, languages: tuple[str, str]) -> tuple[list[int], int]:
        if not self._rules.text_prefix:
            return self.encode(text), 0
        prefix = self._rules.prefix(languages)
        if not text:
            return [], 0
        # Together, as the model was trained: the pieces of a text may depend on what stands before it.
        num_before = len(self._sides[0].encode_all(prefix))
        ids = self._sides[0].encode_all(prefix + text)
        return [*ids[:num_before], *self._sides[0].spelled(ids[num_before:])], num_before

    def _bar_control_tokens(self, tags: Iterable[str]) -> None:
        ids, (source, target) = self._description.ids, self._sides
        pieces = {*self._description.frame.pieces, *tags}
        if self._rules.text_prefix:
            prefixes = {self._rules.prefix((language, language)).strip() for language in self._languages}
            pieces |= {*prefixes, *(WORD_START + prefix for prefix in prefixes)}
        for side in self._sides:
            found = (side.id(piece) for piece in pieces)
            side.bar(id for id in found if id is not None)
        source.bar([ids.pad])
        target.bar([ids.pad, ids.start, ids.end])


def _check_pieces(side: PieceSide, pieces: Sequence[str], where: Path) -> None:
    missing = [piece for piece in pieces if side.id(piece) is None]
    if missing:
        raise LingoLiteError(
            f"{where} has no piece {', '.join(missing)}, which stands around every source or before every target",
            hint="the tokenizer is another model's",
        )
