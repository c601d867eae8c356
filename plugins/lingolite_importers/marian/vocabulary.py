"""The tokenizer of a Marian model: one SentencePiece model or two, with the ids of the models or of a `vocab.yml`.

Owns how Marian's special tokens are told: `</s>` ends sources and targets, `<unk>` is never generated, and the token
that the decoder starts with has a row and a piece of its own, which the importer adds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from lingolite_cli.artifact import (
    TARGET_TOKENIZER_NAME,
    TARGET_VOCABULARY_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.imported import ImportedTokenizer
from lingolite_cli.tokenization.description import (
    PIECES_AND_VOCABULARY,
    SENTENCEPIECE,
    TARGET_TAG,
    Frame,
    PieceRules,
    SpecialIds,
    TokenizerDescription,
)
from lingolite_cli.tokenization.processors import load_processor, pieces_of
from lingolite_importers.marian.files import MarianFiles
from lingolite_importers.reading import read_file, read_sentencepiece_model

_START, _END, _UNKNOWN = "<s>", "</s>", "<unk>"
_TAG = ">>{language}<<"
_HINT = "the vocabulary must be the one that the model was trained with"


def marian_tokenizer(files: MarianFiles, *, sizes: tuple[int, int], rows: int) -> ImportedTokenizer:
    """The tokenizer of a model.

    Args:
        files: of the model.
        sizes: source and target tokens.
        rows: rows of its embeddings, with those that were added; the last is the start.

    Raises:
        LingoLiteError: a vocabulary cannot be read, or has another number of pieces than the model.
    """
    spms = [files.source_spm] if files.target_spm is None else [files.source_spm, files.target_spm]
    names = dict(
        zip((TOKENIZER_NAME, TARGET_TOKENIZER_NAME), (read_sentencepiece_model(spm) for spm in spms), strict=False)
    )
    if files.vocabulary is not None:
        sources = _read_vocabulary(files.vocabulary)
        targets = sources if files.target_vocabulary is None else _read_vocabulary(files.target_vocabulary)
        return _with_lists(files, names, [sources, targets], sizes, rows)
    own = [pieces_of(load_processor(names[name], where=spm), where=spm) for name, spm in zip(names, spms, strict=True)]
    if sizes[0] != sizes[1]:
        return _with_lists(files, names, [own[0], own[-1]], sizes, rows)
    for pieces, spm in zip(own, spms, strict=True):
        _check_size(pieces, sizes[0], spm)
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=_special_ids(own[-1], rows, spms[-1]),
        frame=Frame(source_prefix=(), source_suffix=(_END,)),
        never_generated=(own[-1].index(_UNKNOWN), rows - 1),
        pieces=PieceRules(
            # A model whose own start was never used by Marian still has a piece of that name.
            added=(_added_start(own[-1]),),
            source_languages=files.languages[:1],
            target_languages=files.languages[1:],
        ),
    )
    return ImportedTokenizer(description=description, files=names)


def _with_lists(
    files: MarianFiles, spms: dict[str, bytes], own: Sequence[Sequence[str]], sizes: tuple[int, int], rows: int
) -> ImportedTokenizer:
    """A tokenizer whose ids are those of lists."""
    source = files.vocabulary or files.source_spm
    where = files.target_vocabulary or (source if files.vocabulary else files.target_spm or source)
    lists = [_list(pieces, size, rows, named) for pieces, size, named in zip(own, sizes, (source, where), strict=True)]
    tags = [piece[2:-2] for piece in own[0] if piece.startswith(">>") and piece.endswith("<<")]
    unused = range(sizes[1], rows)
    description = TokenizerDescription(
        kind=PIECES_AND_VOCABULARY,
        ids=_special_ids(lists[1], rows, where),
        frame=Frame(source_prefix=(TARGET_TAG,) if tags else (), source_suffix=(_END,), language_tag=_TAG),
        never_generated=(lists[1].index(_UNKNOWN), *unused),
        pieces=PieceRules(source_languages=files.languages[:1], target_languages=tuple(tags) or files.languages[1:]),
    )
    contents = {**spms, VOCABULARY_NAME: json.dumps(lists[0], ensure_ascii=False).encode()}
    if lists[0] != lists[1]:
        contents[TARGET_VOCABULARY_NAME] = json.dumps(lists[1], ensure_ascii=False).encode()
    return ImportedTokenizer(description=description, files=contents)


def _list(pieces: Sequence[str], size: int, rows: int, where: Path) -> list[str]:
    _check_size(pieces, size, where)
    fill = [f"<unused_{index}>" for index in range(rows - size - 1)]
    return [*pieces, *fill, _added_start(pieces)]


def _added_start(pieces: Sequence[str]) -> str:
    return _START if _START not in pieces else "<start>"


def _special_ids(pieces: Sequence[str], rows: int, where: Path) -> SpecialIds:
    for piece in (_END, _UNKNOWN):
        if piece not in pieces:
            raise LingoLiteError(f"{where} has no piece {piece}", hint=_HINT)
    return SpecialIds(pad=rows - 1, start=rows - 1, end=pieces.index(_END), unknown=pieces.index(_UNKNOWN))


def _check_size(pieces: Sequence[str], size: int, where: Path) -> None:
    if len(pieces) != size:
        raise LingoLiteError(f"{where} has {len(pieces):,} pieces, and the model {size:,} tokens", hint=_HINT)


def _read_vocabulary(path: Path) -> list[str]:
    """Pieces in the order of their ids, from a table that leads from pieces to ids."""
    content = read_file(path)
    is_json = ".json" in path.suffixes
    try:
        entries = _json_entries(content) if is_json else _yaml_entries(content)
        ids = [int(id) if id.isascii() and id.isdecimal() else -1 for _, id in entries]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "YAML"
        raise LingoLiteError(f"{path} is not {kind}: {str(error)[:200]}", hint=_HINT) from None
    if not entries or sorted(ids) != list(range(len(entries))):
        raise LingoLiteError(f"{path} does not lead from pieces to the ids 0 to their number", hint=_HINT)
    pieces = [""] * len(entries)
    for id, (piece, _) in zip(ids, entries, strict=True):
        pieces[id] = piece
    if len(set(pieces)) != len(pieces):
        twice = next(piece for piece in pieces if pieces.count(piece) > 1)
        raise LingoLiteError(f"{path} has the piece {twice!r} twice", hint=_HINT)
    return pieces


def _json_entries(content: bytes) -> list[tuple[str, str]]:
    """Keys and values of a JSON table, a key that stands twice included; none of anything else."""
    found = json.loads(content, object_pairs_hook=tuple)
    json.dumps(found, ensure_ascii=False).encode()  # escapes may spell half a character, which no file can hold
    return [(piece, str(id)) for piece, id in found] if isinstance(found, tuple) else []


def _yaml_entries(content: bytes) -> list[tuple[str, str]]:
    """Keys and values of a flat YAML table; none of anything else.

    Marian writes pieces without quotes, and YAML takes `no`, `1998` and `2:30` for other things than text. Scalars are
    therefore read as they stand, one after another: libyaml's loader would descend into nested content without limit.
    """
    scalars = []
    num_tables = 0
    # PyYAML's own reader takes seconds for a vocabulary; libyaml's is there in its wheels.
    for event in yaml.parse(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        num_tables += isinstance(event, yaml.MappingStartEvent)
        if num_tables > 1 or isinstance(event, yaml.SequenceStartEvent | yaml.AliasEvent):
            return []
        if isinstance(event, yaml.ScalarEvent):
            scalars.append(event.value)
    return list(zip(scalars[::2], scalars[1::2], strict=True)) if num_tables else []
