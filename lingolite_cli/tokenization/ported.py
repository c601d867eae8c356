"""A tokenizer as data for one that is written in another language: JavaScript in a page, Kotlin or Swift in an app.

Owns what such a port needs beyond SentencePiece itself, with every rule of frames, control tokens and ids worked out,
so that it has none of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lingolite_cli.artifact import (
    TARGET_TOKENIZER_NAME,
    TARGET_VOCABULARY_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
    Artifact,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import PIECES_AND_VOCABULARY
from lingolite_cli.tokenization.opening import TokenizerFiles, open_tokenizer, tokenizer_files
from lingolite_cli.tokenization.processors import model_type
from lingolite_cli.tokenization.tokenizer import Side, Tokenizer


class PortedSide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Text and ids of sources or of targets.

    Encoding: SentencePiece gives pieces; each has its own id plus `moved`, or its place in the list `pieces`;
    `unknown` where there is none; and an id in `spelled` is replaced by those that stand there. Decoding: ids in
    `controls` are left out, and SentencePiece joins the pieces of the others.

    Attributes:
        model: name of the SentencePiece model's file.
        pieces: name of the file with the pieces in the order of their ids; None where ids follow from the model's own.
        moved: what an id is more than the model's own.
        unknown: the id for text that no piece spells.
        controls: ids of control tokens, `unknown` included where it is one.
        spelled: ids that stand for a control token that is typed in a text.
    """

    model: str
    pieces: str | None
    moved: int
    unknown: int
    controls: tuple[int, ...]
    spelled: dict[int, tuple[int, ...]]


class PortedPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands around texts from one language to another.

    Attributes:
        source: language of sources.
        target: language of targets.
        text_prefix: text that is encoded together with a source that is not empty; control tokens in it are not
            spelled.
        source_prefix: ids before a source.
        source_suffix: ids after it.
        target_prefix: ids that the decoder reads after the start token; they are not part of a translation.
    """

    source: str
    target: str
    text_prefix: str
    source_prefix: tuple[int, ...]
    source_suffix: tuple[int, ...]
    target_prefix: tuple[int, ...]


class PortedTokenizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a port reads.

    Attributes:
        source: the side of sources.
        target: the side of targets.
        pairs: languages between which it translates.
        max_length: most ids of a framed source; the end of a longer text is cut off, and the frame kept.
        pad: id that fills a batch on the right.
        start: the first token that the decoder reads.
        end: the last token of a translation.
        never_generated: ids that a search must not choose.
        strips: a decoded text loses white space at both ends.
    """

    source: PortedSide
    target: PortedSide
    pairs: tuple[PortedPair, ...]
    max_length: int
    pad: int
    start: int
    end: int
    never_generated: tuple[int, ...]
    strips: bool


def ported_tokenizer(artifact: Artifact, pairs: Sequence[tuple[str, str]]) -> PortedTokenizer:
    """The tokenizer of an artifact as data.

    Args:
        artifact: any.
        pairs: source and target languages.

    Raises:
        LingoLiteError: a language is unknown, or a SentencePiece model is of another type than unigram and BPE.
    """
    max_length = artifact.manifest.model.max_seq_len
    return describe_port(open_tokenizer(artifact), tokenizer_files(artifact), pairs=pairs, max_length=max_length)


def describe_port(
    tokenizer: Tokenizer, files: TokenizerFiles, *, pairs: Sequence[tuple[str, str]], max_length: int
) -> PortedTokenizer:
    """As `ported_tokenizer`, for a tokenizer that was made of `files`, and a model with `max_length` positions."""
    description = tokenizer.description
    models = files.of_sides(TOKENIZER_NAME, TARGET_TOKENIZER_NAME)
    lists: tuple[str | None, str | None] = (None, None)
    if description.kind == PIECES_AND_VOCABULARY:
        lists = files.of_sides(VOCABULARY_NAME, TARGET_VOCABULARY_NAME)
    source, target = (
        _side(side, files, model=model, pieces=pieces)
        for side, model, pieces in zip(tokenizer.sides, models, lists, strict=True)
    )
    return PortedTokenizer(
        source=source,
        target=target,
        pairs=tuple(_pair(tokenizer, pair, max_length=max_length) for pair in pairs),
        max_length=max_length,
        pad=description.ids.pad,
        start=description.ids.start,
        end=description.ids.end,
        never_generated=description.never_generated,
        strips=description.rules.strips,
    )


def _side(side: Side, files: TokenizerFiles, *, model: str, pieces: str | None) -> PortedSide:
    kind = model_type(files.content(model))
    if kind not in ("unigram", "bpe"):
        raise LingoLiteError(
            f"{files.where(model)} is a SentencePiece model of the type `{kind}`",
            hint="tokenizers outside Python are written for `unigram` and `bpe`",
        )
    return PortedSide(
        model=model,
        pieces=pieces,
        moved=side.moved,
        unknown=side.unknown,
        controls=tuple(sorted(side.control_ids)),
        spelled=dict(side.spellings),
    )


def _pair(tokenizer: Tokenizer, languages: tuple[str, str], *, max_length: int) -> PortedPair:
    description = tokenizer.description
    framed = tokenizer.encode_source("", languages, max_length=max_length).ids
    num_before = len(description.frame.source_prefix)
    return PortedPair(
        source=languages[0],
        target=languages[1],
        text_prefix=description.rules.prefix(languages),
        source_prefix=tuple(framed[:num_before]),
        source_suffix=tuple(framed[num_before:]),
        target_prefix=tokenizer.decoding_ids(languages).prefix,
    )
