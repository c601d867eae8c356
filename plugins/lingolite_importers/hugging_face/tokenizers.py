"""The tokenizers of transformers in LingoLite's words, from their SentencePiece models and vocabularies.

Owns what each of them puts around a source and where its language tokens are. `tokenizer.json` is not read: it is made
from the files that are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.artifact import TARGET_TOKENIZER_NAME, TARGET_VOCABULARY_NAME, TOKENIZER_NAME, VOCABULARY_NAME
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.importing.imported import ImportedTokenizer
from lingolite_cli.tokenization.description import (
    PIECES_AND_VOCABULARY,
    SENTENCEPIECE,
    SOURCE_TAG,
    TARGET_TAG,
    Frame,
    PieceRules,
    SpecialIds,
    TokenizerDescription,
)
from lingolite_cli.tokenization.processors import load_processor, pieces_of
from lingolite_importers.hugging_face.directory import Directory, read_table
from lingolite_importers.hugging_face.generation import forced_first_piece, never_generated
from lingolite_importers.hugging_face.language_tokens import M2M100_CODES, NLLB_CODES
from lingolite_importers.options import HuggingFaceOptions
from lingolite_importers.reading import is_file, read_file, read_sentencepiece_model

_END = ("</s>",)
_LONGEST_ID = 18
"""Digits: far more than any vocabulary needs, and few enough to be a number at once."""
_HINT = "the vocabulary must be the one that the model was trained with"
_TASK = re.compile(r"^translation_([a-z]{2,3})_to_([a-z]{2,3})$")
_TASK_PREFIX = re.compile(r"^translate (\w+) to (\w+): $")
_NAMED_PREFIX = "translate {source} to {target}: "
_MADLAD_TAG = re.compile(r"^(?:\u2581)?<2([A-Za-z]{2,3}(?:[_-][A-Za-z0-9]+)*)>$")


class ReadTokenizer(msgspec.Struct, frozen=True):
    """A tokenizer, and the languages of its model."""

    tokenizer: ImportedTokenizer
    languages: tuple[str, ...]


def read_hugging_face_tokenizer(
    directory: Directory, architecture: Architecture, options: HuggingFaceOptions
) -> ReadTokenizer:
    """The tokenizer in a directory.

    Raises:
        LingoLiteError: it is of another kind, a file is missing, it has more pieces than the model has rows, or the
            options do not apply to it.
    """
    name = str(directory.tokenizer.get("tokenizer_class", "")).removesuffix("Fast")
    kind = name if name in _KINDS else _DEFAULT[directory.config["model_type"]]
    if name and name not in _KINDS:
        raise LingoLiteError(
            f"{directory.path} has a tokenizer of the class {name}, which no importer reads",
            hint=f"importable are {', '.join(sorted(_KINDS))}",
        )
    read = _KINDS[kind]
    if options.text_prefix is not None and read is not _t5:
        raise LingoLiteError(
            f"{directory.path} has a {kind}, which puts no text before a source", hint="leave text_prefix out"
        )
    found = read(directory, architecture, options)
    return found if options.pair is None else _of_pair(found, options.pair, directory)


def _of_pair(found: ReadTokenizer, pair: tuple[str, str], directory: Directory) -> ReadTokenizer:
    """The tokenizer for two of its languages.

    Raises:
        LingoLiteError: one of them is not one of its languages.
    """
    for language in pair:
        if language not in found.languages:
            raise LingoLiteError(
                f"{directory.path} has no token for the language `{language}`",
                hint=did_you_mean(language, found.languages),
            )
    return msgspec.structs.replace(found, languages=pair)


def _marian(directory: Directory, architecture: Architecture, options: HuggingFaceOptions) -> ReadTokenizer:
    lists = {
        VOCABULARY_NAME: _vocabulary(
            directory.file("vocab.json"), architecture.source_vocab_size or architecture.vocab_size
        )
    }
    if directory.tokenizer.get("separate_vocabs") or is_file(directory.path / "target_vocab.json"):
        lists[TARGET_VOCABULARY_NAME] = _vocabulary(directory.file("target_vocab.json"), architecture.vocab_size)
    files = {
        TOKENIZER_NAME: read_sentencepiece_model(directory.file("source.spm")),
        TARGET_TOKENIZER_NAME: read_sentencepiece_model(directory.file("target.spm")),
        **{name: json.dumps(pieces, ensure_ascii=False).encode() for name, pieces in lists.items()},
    }
    targets = lists.get(TARGET_VOCABULARY_NAME, lists[VOCABULARY_NAME])
    tags = [piece[2:-2] for piece in lists[VOCABULARY_NAME] if re.fullmatch(r">>[^<>]+<<", piece)]
    source, target = _pair(directory, options, needs_target=not tags)
    description = TokenizerDescription(
        kind=PIECES_AND_VOCABULARY,
        ids=_ids(directory, targets),
        frame=Frame(
            source_prefix=(TARGET_TAG,) if tags else (),
            source_suffix=_END,
            target_prefix=forced_first_piece(directory, tuple(targets)),
            language_tag=">>{language}<<",
        ),
        never_generated=never_generated(directory),
        pieces=PieceRules(source_languages=(source,), target_languages=tuple(tags) if tags else (target,), strips=True),
    )
    languages = dict.fromkeys([source, *(tags or [target])])
    return ReadTokenizer(ImportedTokenizer(description=description, files=files), tuple(languages))


def _m2m100(directory: Directory, architecture: Architecture, options: HuggingFaceOptions) -> ReadTokenizer:
    table = _table(directory.file("vocab.json"))
    added = _added(directory, len(table), rows=architecture.vocab_size) or [f"__{code}__" for code in M2M100_CODES]
    codes = [token[2:-2] for token in added if re.fullmatch(r"__\w+__", token)]
    listed = _filled([*table, *added], architecture.vocab_size, directory.path)
    description = TokenizerDescription(
        kind=PIECES_AND_VOCABULARY,
        ids=_ids(directory, listed),
        frame=Frame(
            source_prefix=(SOURCE_TAG,), source_suffix=_END, target_prefix=(TARGET_TAG,), language_tag="__{language}__"
        ),
        never_generated=never_generated(directory),
        pieces=PieceRules(strips=True),
    )
    files = {
        TOKENIZER_NAME: read_sentencepiece_model(directory.file("sentencepiece.bpe.model")),
        VOCABULARY_NAME: json.dumps(listed, ensure_ascii=False).encode(),
    }
    return ReadTokenizer(ImportedTokenizer(description=description, files=files), tuple(codes))


def _nllb(directory: Directory, architecture: Architecture, options: HuggingFaceOptions) -> ReadTokenizer:
    path = directory.file("sentencepiece.bpe.model")
    model = read_file(path)
    own = pieces_of(load_processor(model, where=path), where=path)
    # fairseq has four special pieces where the SentencePiece model has three, in another order.
    first = ("<s>", "<pad>", "</s>", "<unk>")
    added = tuple(_added(directory, len(own) + 1, rows=architecture.vocab_size)) or (*NLLB_CODES, "<mask>")
    codes = [token for token in added if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", token)]
    is_legacy = bool(directory.tokenizer.get("legacy_behaviour", False))
    rules = PieceRules(
        first=first,
        num_replaced=3,
        added=added,
        num_unused=_unused(len(own) + 1 + len(added), architecture.vocab_size, directory.path),
        strips=True,
    )
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=_ids(directory, (*first, *own[3:])),
        frame=Frame(
            source_prefix=() if is_legacy else (SOURCE_TAG,),
            source_suffix=(*_END, SOURCE_TAG) if is_legacy else _END,
            target_prefix=(TARGET_TAG,),
            language_tag="{language}",
        ),
        never_generated=never_generated(directory),
        pieces=rules,
    )
    return ReadTokenizer(ImportedTokenizer(description=description, files={TOKENIZER_NAME: model}), tuple(codes))


def _t5(directory: Directory, architecture: Architecture, options: HuggingFaceOptions) -> ReadTokenizer:
    path = directory.file("spiece.model", "sentencepiece.model")
    model = read_file(path)
    own = pieces_of(load_processor(model, where=path), where=path)
    added = tuple(_added(directory, len(own), rows=architecture.vocab_size)) or _sentinels(
        directory, own, architecture.vocab_size
    )
    prefix, names, languages = _prefix(directory, own, options)
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=_ids(directory, own),
        frame=Frame(
            source_prefix=(),
            source_suffix=_END,
            target_prefix=forced_first_piece(directory, (*own, *added)),
        ),
        never_generated=never_generated(directory),
        pieces=PieceRules(
            added=added,
            num_unused=_unused(len(own) + len(added), architecture.vocab_size, directory.path),
            text_prefix=prefix,
            language_names=names,
            strips=True,
        ),
    )
    return ReadTokenizer(ImportedTokenizer(description=description, files={TOKENIZER_NAME: model}), languages)


def _sentinels(directory: Directory, own: Sequence[str], rows: int) -> tuple[str, ...]:
    """T5's sentinels, which no file of the first models names; the last one comes first."""
    extra = directory.tokenizer.get("extra_ids", 100 if directory.config["model_type"] == "t5" else 0)
    has_room = type(extra) is int and 0 <= extra <= rows - len(own)
    if not has_room or any("<extra_id_0>" in piece for piece in own):
        return ()  # a vocabulary with its own sentinels, or with none
    return tuple(f"<extra_id_{index}>" for index in reversed(range(extra)))


def _prefix(
    directory: Directory, own: Sequence[str], options: HuggingFaceOptions
) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """What stands before a source, names of languages in it, and the languages."""
    tagged = [match.group(1) for match in map(_MADLAD_TAG.match, own) if match]
    names = _task_names(directory)
    if options.text_prefix is not None or not (tagged or names):
        if options.pair is None:
            raise LingoLiteError(
                f"{directory.path} does not say which languages its model translates", hint="pass --languages en-pt"
            )
        return options.text_prefix or "", {}, options.pair
    if tagged:
        return f"<2{TARGET_TAG}> ", {}, tuple(dict.fromkeys(tagged))
    return _NAMED_PREFIX, names, tuple(names)


def _task_names(directory: Directory) -> dict[str, str]:
    """Names of languages in the prefixes of a T5 that was trained on tasks."""
    tasks = directory.config.get("task_specific_params")
    found: dict[str, str] = {}
    for task, settings in tasks.items() if isinstance(tasks, dict) else ():
        codes = _TASK.match(task)
        prefix = _TASK_PREFIX.match(str(settings.get("prefix", ""))) if isinstance(settings, dict) else None
        if codes and prefix:
            found |= dict(zip(codes.groups(), prefix.groups(), strict=True))
    return found


def _pair(directory: Directory, options: HuggingFaceOptions, *, needs_target: bool) -> tuple[str, str]:
    said = directory.tokenizer.get("source_lang"), directory.tokenizer.get("target_lang")
    source, target = (name if isinstance(name, str) and name else None for name in options.pair or said)
    if source is None or (needs_target and target is None):
        raise LingoLiteError(
            f"{directory.path} does not say which languages its model translates", hint="pass --languages en-pt"
        )
    return source, str(target)


def _vocabulary(path: Path, rows: int) -> list[str]:
    return _filled(_table(path), rows, path)


def _table(path: Path) -> list[str]:
    """Pieces in the order of their ids, from a table that leads from pieces to ids."""
    table = read_table(path)
    if sorted(id for id in table.values() if type(id) is int) != list(range(len(table))):
        raise LingoLiteError(f"{path} does not lead from pieces to the ids 0 to their number", hint=_HINT)
    return sorted(table, key=table.__getitem__)


def _filled(pieces: Sequence[str], rows: int, where: Path) -> list[str]:
    return [*pieces, *(f"<unused_{index}>" for index in range(_unused(len(pieces), rows, where)))]


def _unused(num_pieces: int, rows: int, where: Path) -> int:
    if num_pieces > rows:
        raise LingoLiteError(
            f"{where} has a vocabulary of {num_pieces:,} pieces, and the model {rows:,} rows", hint=_HINT
        )
    return rows - num_pieces


def _ids(directory: Directory, pieces: Sequence[str]) -> SpecialIds:
    if "<unk>" not in pieces:
        raise LingoLiteError(f"{directory.path}: the vocabulary has no piece <unk>", hint=_HINT)
    pad, end = directory.config.get("pad_token_id"), directory.config.get("eos_token_id")
    start = directory.setting("decoder_start_token_id", directory.config.get("decoder_start_token_id", pad))
    try:
        return msgspec.convert({"pad": pad, "start": start, "end": end, "unknown": pieces.index("<unk>")}, SpecialIds)
    except msgspec.ValidationError as error:
        raise LingoLiteError(f"{directory.path / 'config.json'}: special ids: {error}", hint=_HINT) from None


def _added(directory: Directory, start: int, *, rows: int) -> list[str]:
    """Tokens that were added after the first `start` ids, in the order of their ids; none where these are not told.

    Raises:
        LingoLiteError: one lies outside the `rows` of the model.
    """
    told: dict[int, str] = {}
    decoder = directory.tokenizer.get("added_tokens_decoder")
    if isinstance(decoder, dict):
        told = {int(id): str(entry["content"]) for id, entry in decoder.items() if _is_added(id, entry)}
    elif is_file(directory.path / "added_tokens.json"):
        table = read_table(directory.path / "added_tokens.json")
        told = {id: token for token, id in table.items() if type(id) is int}
    after = {id: token for id, token in told.items() if start <= id}
    _unused(max(after, default=0) + 1, rows, directory.path)
    return [after.get(id, f"<added_{id}>") for id in range(start, max(after, default=start - 1) + 1)]


def _is_added(id: object, entry: object) -> bool:
    return (
        isinstance(id, str)
        and id.isascii()
        and id.isdigit()
        and len(id) <= _LONGEST_ID
        and isinstance(entry, dict)
        and isinstance(entry.get("content"), str)
    )


_KINDS: dict[str, Callable[[Directory, Architecture, HuggingFaceOptions], ReadTokenizer]] = {
    "MarianTokenizer": _marian,
    "M2M100Tokenizer": _m2m100,
    "NllbTokenizer": _nllb,
    "T5Tokenizer": _t5,
    "MT5Tokenizer": _t5,
}
_DEFAULT = {"marian": "MarianTokenizer", "m2m_100": "M2M100Tokenizer", "t5": "T5Tokenizer", "mt5": "T5Tokenizer"}
