"""Finished runs on disk: finding and reading them. The runner writes them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.recipe.record import EvaluateResult, RunManifest
from lingolite_cli.recipe.translations import TranslationRecord, read_translations

MANIFEST_NAME = "manifest.json"


def last_run(directory: Path) -> Path | None:
    """The last of a recipe's runs, which lie in `directory`: their ids begin with their time."""
    return max((path.parent for path in directory.glob(f"*/{MANIFEST_NAME}")), default=None)


def read_run(directory: Path) -> RunManifest:
    """The manifest of a run.

    Raises:
        LingoLiteError: there is none, or it is of another version.
    """
    path = directory / MANIFEST_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunManifest)
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}", hint="name the directory of a run") from None
    except msgspec.DecodeError as error:
        raise LingoLiteError(f"{path} is no manifest of a run: {error}", hint="name the directory of a run") from None


def run_translations(directory: Path, manifest: RunManifest) -> dict[str, list[TranslationRecord]]:
    """What each `evaluate` step of a run translated, by step.

    Raises:
        LingoLiteError: a file of translations is gone or damaged.
    """
    return {
        step.id: translations_of(directory / step.result.translations)
        for step in manifest.steps
        if isinstance(step.result, EvaluateResult)
    }


def translations_of(path: Path) -> list[TranslationRecord]:
    """The translations in a file.

    Raises:
        LingoLiteError: it cannot be read, has none, or a line is no translation.
    """
    try:
        records = read_translations(path)
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise LingoLiteError(
            f"{path} is no file of translations: {error}",
            hint="`lingolite eval --save-translations FILE` and each run write such files",
        ) from None
    if not records:
        raise LingoLiteError(f"{path} has no translations")
    return records
