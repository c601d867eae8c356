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
from lingolite_importers.reading import read_file

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
    names = dict(zip((TOKENIZER_NAME, TARGET_TOKENIZER_NAME), (read_file(spm) for spm in spms), strict=False))
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
    try:
        # PyYAML's own reader takes seconds for a vocabulary; libyaml's is there in its wheels.
        table = yaml.load(read_file(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise LingoLiteError(f"{path} is not YAML: {str(error)[:200]}", hint=_HINT) from None
    is_table = isinstance(table, dict) and all(type(id) is int for id in table.values())
    if not is_table or sorted(table.values()) != list(range(len(table))):
        raise LingoLiteError(f"{path} does not lead from pieces to the ids 0 to their number", hint=_HINT)
    return [str(piece) for piece, _ in sorted(table.items(), key=lambda entry: entry[1])]
