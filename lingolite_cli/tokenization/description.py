"""What a manifest says of a tokenizer: its kind, its special ids, and the frame around a source and a target.

Owns the special ids and the frame of LingoLite's own format, which are the defaults: no other module has constants of
them. How text becomes ids is the business of the tokenizers beside it.
"""

from __future__ import annotations

import msgspec

SOURCE_TAG = "{source}"
"""The place of the source language's tag in a frame."""
TARGET_TAG = "{target}"
"""The place of the target language's tag in a frame."""
_LANGUAGE = "{language}"

SENTENCEPIECE = "sentencepiece"
"""The kind of tokenizer whose ids are those of its SentencePiece model, or follow from them by `PieceRules`."""
PIECES_AND_VOCABULARY = "pieces_and_vocabulary"
"""The kind whose SentencePiece models make pieces, which have the ids of a list beside them."""

MOST_ROWS = 1 << 24
"""More than any vocabulary has: a file may claim any number, and lists are made from the claim."""


class SpecialIds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids with a meaning beyond text.

    Attributes:
        pad: fills sources and targets on the right.
        start: the first token that the decoder reads. It may be the same as `pad` or `end`.
        end: the last token of a target.
        unknown: stands for text that no piece spells.
    """

    pad: int = 0
    start: int = 1
    end: int = 2
    unknown: int = 3

    def __post_init__(self) -> None:
        for name, value in msgspec.structs.asdict(self).items():
            if value < 0:
                raise ValueError(f"the id `{name}` must be at least 0, not {value}")
        # Padding of labels is ignored in the loss, and the end is learned: one id cannot be both.
        if len({self.pad, self.end, self.unknown}) < 3:
            raise ValueError(
                f"the ids `pad`, `end` and `unknown` must be different, not {self.pad}, {self.end} and {self.unknown}"
            )


class Frame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pieces around a source and before a target, each a piece of the vocabulary, `SOURCE_TAG` or `TARGET_TAG`.

    Attributes:
        source_prefix: pieces before the text of a source.
        source_suffix: pieces after it.
        target_prefix: pieces that the decoder reads after the start token, before it is asked for anything.
        language_tag: how a language's tag is spelled; `{language}` stands for its code.
    """

    source_prefix: tuple[str, ...] = ("<src>", SOURCE_TAG)
    source_suffix: tuple[str, ...] = ("</s>", "<tgt>", TARGET_TAG)
    target_prefix: tuple[str, ...] = ()
    language_tag: str = f"<{_LANGUAGE}>"

    def __post_init__(self) -> None:
        if self.language_tag.count(_LANGUAGE) != 1:
            raise ValueError(f"language_tag must hold {_LANGUAGE} once, not be {self.language_tag!r}")

    @property
    def num_source_tokens(self) -> int:
        """Ids around the text of a source."""
        return len(self.source_prefix) + len(self.source_suffix)

    @property
    def pieces(self) -> tuple[str, ...]:
        """All pieces that are the same for every language, in order."""
        every = (*self.source_prefix, *self.source_suffix, *self.target_prefix)
        return tuple(dict.fromkeys(piece for piece in every if piece not in (SOURCE_TAG, TARGET_TAG)))

    def tag(self, language: str) -> str:
        """The piece that is the tag of `language`."""
        return self.language_tag.replace(_LANGUAGE, language)

    def tagged_language(self, piece: str) -> str | None:
        """The language whose tag `piece` may be; None if it is not spelled like one."""
        before, after = self.language_tag.split(_LANGUAGE)
        is_tag = piece.startswith(before) and piece.endswith(after) and len(piece) > len(before) + len(after)
        return piece[len(before) : len(piece) - len(after)] if is_tag else None


class PieceRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a tokenizer of another kind than LingoLite's own is told besides: which ids its pieces have, which text is
    put before a source, and which way it translates.

    Attributes:
        first: pieces with the first ids, in place of the first `num_replaced` of the SentencePiece model.
        num_replaced: pieces of the model that `first` stands for; the ids of all others move with it.
        added: pieces after the last one of the model.
        num_unused: rows of the embedding after these that stand for no piece.
        text_prefix: text before a source, which goes through the tokenizer with it; `{source}` and `{target}` stand for
            the languages, by their names.
        language_names: names of languages in `text_prefix`; their codes where they are not here.
        source_languages: languages that a source may be in; all where there are none.
        target_languages: the same of targets.
        strips: a decoded text loses white space at both ends.
    """

    first: tuple[str, ...] = ()
    num_replaced: int = 0
    added: tuple[str, ...] = ()
    num_unused: int = 0
    text_prefix: str = ""
    language_names: dict[str, str] = {}
    source_languages: tuple[str, ...] = ()
    target_languages: tuple[str, ...] = ()
    strips: bool = False

    def __post_init__(self) -> None:
        for name in ("num_replaced", "num_unused"):
            if not 0 <= getattr(self, name) <= MOST_ROWS:
                raise ValueError(f"{name} must lie between 0 and {MOST_ROWS:,}, not {getattr(self, name)}")

    @property
    def after(self) -> tuple[str, ...]:
        """Pieces after the last one of the model, with a name for each row that stands for none."""
        return (*self.added, *(f"<unused_{index}>" for index in range(self.num_unused)))

    def prefix(self, languages: tuple[str, str]) -> str:
        """The text before a source."""
        source, target = (self.language_names.get(language, language) for language in languages)
        return self.text_prefix.replace(SOURCE_TAG, source).replace(TARGET_TAG, target)


class TokenizerDescription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tokenizer of an artifact is read, and what its ids mean. The defaults are LingoLite's own format.

    Attributes:
        kind: which tokenizer it is; see `lingolite_cli.tokenization.opening`.
        ids: special ids.
        frame: pieces around sources and before targets.
        never_generated: ids that a search must not choose.
        pieces: of another kind than LingoLite's own; see `rules`.
    """

    kind: str = "lingolite"
    ids: SpecialIds = SpecialIds()
    frame: Frame = Frame()
    never_generated: tuple[int, ...] = ()
    # UNSET is not encoded: manifests without the entry keep their bytes.
    pieces: PieceRules | msgspec.UnsetType = msgspec.UNSET

    @property
    def rules(self) -> PieceRules:
        """`pieces`, or its defaults."""
        return PieceRules() if isinstance(self.pieces, msgspec.UnsetType) else self.pieces

    def __post_init__(self) -> None:
        if self.ids.end in self.never_generated:
            raise ValueError(f"never_generated must not hold the end id {self.ids.end}")
        if self.kind == "lingolite" and not isinstance(self.pieces, msgspec.UnsetType):
            raise ValueError("a tokenizer of the kind `lingolite` has no entry `pieces`")


LINGOLITE = TokenizerDescription()
"""LingoLite's own format: what manifests without a description mean."""


class DecodingIds(msgspec.Struct, frozen=True, kw_only=True):
    """What batching and search must know of a tokenizer's ids, for one pair of languages.

    Attributes:
        pad: fills sources and targets on the right.
        start: the first token that the decoder reads.
        end: ends a hypothesis.
        prefix: tokens that the decoder reads after `start`; they are not part of a hypothesis.
        never_generated: tokens that no hypothesis may have.
    """

    pad: int
    start: int
    end: int
    prefix: tuple[int, ...] = ()
    never_generated: tuple[int, ...] = ()
