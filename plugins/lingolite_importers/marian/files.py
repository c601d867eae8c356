"""The files of a Marian model: found in a directory, or named one by one; read plain or from gzip.

Owns which file is which. What is in them is the business of the modules beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from lingolite_cli.errors import LingoLiteError
from lingolite_importers.options import MarianOptions
from lingolite_importers.reading import is_file, read_file

_MODEL = re.compile(r".*\.(bin|npz)(\.gz)?$")
_SHORTLIST = re.compile(r"^lex\..*\.bin(\.gz)?$")
_SPM = re.compile(r".*\.(spm|model)(\.gz)?$")
_VOCABULARY = re.compile(r".*vocab.*\.(yml|yaml|json)(\.gz)?$")
_DECODER = re.compile(r"^(config|decoder).*\.ya?ml$")
_PAIR = re.compile(r"\.([a-z]{2})([a-z]{2})\.")
_SOURCE = re.compile(r"^(source|src|srcvocab)\b|[._-](source|src)\b")
_TARGET = re.compile(r"^(target|trg|tgt|trgvocab)\b|[._-](target|trg|tgt)\b")
_LARGEST_TEXT = 64 << 20


class MarianFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a model; None where there is none. What targets share with sources is named once."""

    model: Path
    source_spm: Path
    target_spm: Path | None
    vocabulary: Path | None
    target_vocabulary: Path | None
    shortlist: Path | None
    settings: Mapping[str, Any]
    languages: tuple[str, str]


def find_files(path: Path, options: MarianOptions) -> MarianFiles:
    """The files of the model at `path`, a directory or the file of weights.

    Raises:
        LingoLiteError: a file is missing, or it is not clear which one is meant.
    """
    if not path.exists():
        raise LingoLiteError(f"no such file or directory: {path}")
    beside = path if path.is_dir() else path.parent
    names = sorted(file for file in beside.iterdir() if _is_known(file.name) and is_file(file))
    shortlists = [file for file in names if _SHORTLIST.match(file.name)]
    models = [file for file in names if _MODEL.match(file.name) and file not in shortlists]
    model = _one(models, "file of weights, .bin or .npz", beside) if path.is_dir() else path
    if model is None:
        raise LingoLiteError(f"{beside} has no file of weights, .bin or .npz")
    spms = [file for file in names if _SPM.match(file.name)]
    source, target = _spms(spms, options, model)
    vocabulary, target_vocabulary = _vocabularies(
        [file for file in names if _VOCABULARY.match(file.name)], options, beside
    )
    shortlist = _named(options.shortlist) or _one(shortlists, "shortlist", beside)
    return MarianFiles(
        model=model,
        source_spm=source,
        target_spm=target,
        vocabulary=vocabulary,
        target_vocabulary=target_vocabulary,
        shortlist=shortlist,
        settings=_settings(file for file in names if _DECODER.match(file.name)),
        languages=options.pair or _languages(model, shortlist),
    )


def _is_known(name: str) -> bool:
    return any(kind.match(name) for kind in (_MODEL, _SHORTLIST, _SPM, _VOCABULARY, _DECODER))


def _spms(found: list[Path], options: MarianOptions, model: Path) -> tuple[Path, Path | None]:
    if (source := _named(options.source_spm)) is not None:
        return source, _named(options.target_spm)
    if options.target_spm is not None:
        raise LingoLiteError(
            "target_spm is the SentencePiece model of targets beside one of sources",
            hint="name that as well: --option source_spm=FILE",
        )
    sides = _sides(found)
    if sides is not None:
        return sides
    is_marked = any(_SOURCE.search(file.name) or _TARGET.search(file.name) for file in found)
    single = None if is_marked else _one(found, "SentencePiece model", model.parent)
    if single is None:
        raise LingoLiteError(
            f"{model.parent} has no SentencePiece model for {model.name}",
            hint="put vocab.spm, or source.spm and target.spm, beside it, or name them: --option source_spm=FILE",
        )
    return single, None


def _vocabularies(found: list[Path], options: MarianOptions, where: Path) -> tuple[Path | None, Path | None]:
    if (sources := _named(options.vocabulary)) is not None:
        return sources, _named(options.target_vocabulary)
    if options.target_vocabulary is not None:
        raise LingoLiteError(
            "target_vocabulary is the vocabulary of targets beside one of sources",
            hint="name that as well: --option vocabulary=FILE",
        )
    return _sides(found) or (_one(found, "vocabulary", where), None)


def _sides(found: list[Path]) -> tuple[Path, Path] | None:
    """The files of both sides, where their names tell one source and one target."""
    sources = [file for file in found if _SOURCE.search(file.name)]
    targets = [file for file in found if _TARGET.search(file.name)]
    return (sources[0], targets[0]) if len(sources) == len(targets) == 1 else None


def _one(found: list[Path], what: str, where: Path) -> Path | None:
    if len(found) > 1:
        raise LingoLiteError(
            f"{where} has more than one {what}: {', '.join(file.name for file in found[:4])}",
            hint="pass the file of weights, and name the others with --option: see `lingolite plugins show marian`",
        )
    return found[0] if found else None


def _named(name: str | None) -> Path | None:
    if name is None:
        return None
    if not Path(name).is_file():
        raise LingoLiteError(f"no such file: {name}", hint="name a file of the model")
    return Path(name)


def _settings(files: Iterable[Path]) -> Mapping[str, Any]:
    """What the decoder's configuration says, of the first file that is one."""
    for file in files:
        try:
            found = yaml.safe_load(read_file(file)[:_LARGEST_TEXT])
        except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
            raise LingoLiteError(f"{file} is not YAML: {str(error)[:200]}", hint="remove it, or mend it") from None
        if isinstance(found, dict):
            return found
    return {}


def _languages(*files: Path | None) -> tuple[str, str]:
    for file in files:
        match = _PAIR.search(file.name) if file is not None else None
        if match:
            return match.group(1), match.group(2)
    raise LingoLiteError(
        "the names of the files do not say which languages the model translates", hint="pass --languages en-pt"
    )
