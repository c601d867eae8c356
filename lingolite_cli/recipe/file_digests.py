"""Digests of files that a run reads: its inputs, and what options of plugins name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lingolite_cli.files.digests import sha256_file
from lingolite_cli.files.special import is_stream
from lingolite_cli.files.text import text_digest
from lingolite_cli.plugins.specs import files_of
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice


def digests_by_name(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by name, so that it holds on other machines; files of equal names get parent directories too."""
    # Absolute paths would tie a lock to one machine.
    found = {path.absolute() for path in paths}
    depth = 1
    while len(names := {"/".join(path.parts[-depth:]): path for path in sorted(found)}) < len(found):
        depth += 1
    return {name: _digest(path) for name, path in names.items()}


def option_files(choice: PluginChoice) -> dict[str, str]:
    """The digests of the files that the plugin's options name; see `lingolite_cli.plugins.specs.files_of`."""
    return digests_by_name(_paths_of(choice))


def option_paths(planned: PlannedStep) -> list[Path]:
    """The files that options of a step's plugins name."""
    return [path for choice in planned.plugins for path in _paths_of(choice)]


def _paths_of(choice: PluginChoice) -> Iterable[Path]:
    return files_of(choice.loaded.options(choice.options))


def _digest(path: Path) -> str:
    """Read once per process unless the file changed: such files may have gigabytes."""
    if is_stream(path):
        return text_digest(path)
    status = path.stat()
    return _digest_of(path, status.st_mtime_ns, status.st_size)


def forget_digests() -> None:
    """Read files again, also those whose time and size are what they were."""
    _digest_of.cache_clear()


@cache
def _digest_of(path: Path, _mtime_ns: int, _size: int) -> str:
    return sha256_file(path)
