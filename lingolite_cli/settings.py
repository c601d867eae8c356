"""`lingolite.toml`: a project's defaults, and where the project is.

Precedence, merged before anything is hashed: option defaults < `lingolite.toml` < recipe < `--set` and flags.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.environment import MOST_THREADS
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.schema import convert, read_toml
from lingolite_cli.training.options import PairsSpec

SETTINGS_NAME = "lingolite.toml"


class PluginSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[plugins]`: entry-point or distribution names that are not loaded."""

    blocked: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `lingolite.toml`; paths are relative to it.

    Attributes:
        model: the artifact that commands use when none is named.
        languages: source and target language of the project.
        test: the corpus that `lingolite eval` uses when none is named.
        dev: the corpus that `lingolite quantize` calibrates on, chooses trained weights by, and searches with, when
            none is named; never the test set, which must stay unseen.
        train: parallel text that `lingolite quantize` trains on when none is named.
        runs: where runs are written.
        cache: where finished steps are kept.
        history: the file that keeps how each run ended, and its figures.
        threads: threads for every engine. One by default: small models gain little from more, lose much on a busy
            machine, and give figures that machines of different size can be compared by.
        plugins: which plugins are not loaded.
        defaults: for each kind of step, keys that recipes and commands start from.
    """

    schema: int = 1
    model: str | None = None
    languages: tuple[str, str] | None = None
    test: CorpusSpec | None = None
    dev: CorpusSpec | None = None
    train: tuple[PairsSpec, ...] = ()
    runs: str = "runs"
    cache: str = ".lingolite/cache"
    history: str = ".lingolite/history.sqlite"
    threads: int = 1
    plugins: PluginSettings = PluginSettings()
    defaults: dict[str, dict[str, Any]] = {}


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in force and the directory that their paths are relative to.

    Attributes:
        root: the directory of `lingolite.toml`.
        settings: what stands in it.
        settings_path: the file; None where there is none.
        asked_cache: where the user wants finished steps kept, whatever the project says.
    """

    root: Path
    settings: Settings
    settings_path: Path | None = None
    asked_cache: Path | None = None

    @property
    def runs_directory(self) -> Path:
        """Where runs are written. Raises as `cache_directory` does."""
        return self._written("runs", self.settings.runs)

    @property
    def cache_directory(self) -> Path:
        """Where finished steps are kept.

        Raises:
            LingoLiteError: the project names a place outside itself, which may be anybody's file.
        """
        if self.asked_cache is not None:
            return self.asked_cache.absolute()
        return self._written("cache", self.settings.cache)

    @property
    def history_path(self) -> Path:
        """The file that keeps how each run ended. Raises as `cache_directory` does."""
        return self._written("history", self.settings.history)

    def _written(self, key: str, place: str) -> Path:
        """A place that is written to: what the user's environment says, or else what the project says, inside it."""
        variable = f"LINGOLITE_{key.upper()}"
        if told := os.environ.get(variable):
            return Path(told).absolute()
        try:
            path = self.root / place
            is_inside = path.resolve().is_relative_to(self.root.resolve())
        except (OSError, ValueError, RuntimeError) as error:
            raise LingoLiteError(f"{self._where}: `{key}` is no path: {place[:100]!r}: {error}") from None
        if not is_inside:
            raise LingoLiteError(
                f"{self._where}: `{key}` leads out of the project: {path}",
                hint=f"if you want it there, say so yourself: {variable}={path.resolve()}",
            )
        return path

    @property
    def _where(self) -> Path:
        return self.settings_path or self.root

    @property
    def threads(self) -> int:
        """Threads for every engine."""
        return self.settings.threads


def working_directory() -> Path:
    """Where this process stands.

    Raises:
        LingoLiteError: somebody removed that directory.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise LingoLiteError(
            "the working directory was removed", hint="change to one that exists, such as with `cd ~`"
        ) from None


def find_project(start: Path | None = None) -> Project:
    """The project around `start` (the working directory): the nearest parent with a `lingolite.toml`.

    Without one, `start` itself with all defaults.

    Raises:
        LingoLiteError: the file is not valid.
    """
    begin = _upwards_alone(start or working_directory())
    for directory in (begin, *begin.parents):
        if (directory / SETTINGS_NAME).is_file():
            root = directory.resolve()
            return Project(root=root, settings=_read(root / SETTINGS_NAME), settings_path=root / SETTINGS_NAME)
    return Project(root=begin.resolve(), settings=Settings())


def _upwards_alone(path: Path) -> Path:
    """An absolute path whose parents are the directories that it leads through.

    Links stay: a directory of recipes that is linked into a project belongs to that project.
    """
    parts = path.absolute().parts
    last = max((index for index, part in enumerate(parts) if part == ".."), default=-1)
    return Path(*parts[: last + 1]).resolve().joinpath(*parts[last + 1 :]) if last >= 0 else Path(*parts)


def _read(path: Path) -> Settings:
    settings = convert(read_toml(path), Settings, where=str(path))
    if settings.schema != 1:
        raise LingoLiteError(f"{path}: schema is {settings.schema}; this version reads 1", hint="upgrade lingolite")
    if not 1 <= settings.threads <= MOST_THREADS:
        raise LingoLiteError(f"{path}: threads must be from 1 to {MOST_THREADS}, not {str(settings.threads)[:40]}")
    return settings
