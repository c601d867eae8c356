"""What is in a cache, and clearing what no command of this version will ever find.

Owns what is of use and what is not. Entries, keys and artifacts themselves are `lingolite_cli.recipe.cache`'s.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import check_writable
from lingolite_cli.files.lease import LEASE_SUFFIX, sweep_dead
from lingolite_cli.recipe.cache import ARTIFACTS, STEPS, TEXTS, CacheEntry, StepCache, host_digest, read_entry
from lingolite_cli.training.text_cache import find_entry

_DAY = 24 * 60 * 60


class Amount(msgspec.Struct, frozen=True):
    """How many there are, and their bytes on disk."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.count + other.count, self.size_bytes + other.size_bytes)


class CacheContents(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a cache.

    Attributes:
        directory: of the cache.
        steps: finished steps that this version can use, by kind.
        artifacts: that such a step made, each counted once.
        texts: to train on, as token ids of this version.
        stale: what this version cannot use: of other versions, damaged, or left by killed processes.
        state: of trainings and searches that can be resumed.
    """

    directory: str
    steps: dict[str, Amount]
    artifacts: Amount
    texts: Amount
    stale: Amount
    state: Amount

    @property
    def total(self) -> Amount:
        """All of it."""
        parts = (*self.steps.values(), self.artifacts, self.texts, self.stale, self.state)
        return sum(parts, Amount())


def contents_of(cache: StepCache) -> CacheContents:
    """What is in a cache. Digests are not read again."""
    steps: dict[str, Amount] = {}
    stale = Amount()
    used: set[str] = set()
    for directory in _places(cache.root / STEPS):
        entry = _usable(directory)
        if entry is None:
            stale += _amount(directory)
            continue
        kind = str(entry.result.__struct_config__.tag)
        steps[kind] = steps.get(kind, Amount()) + _amount(directory)
        used |= {entry.artifact} if entry.artifact is not None else set()
    artifacts = Amount()
    for directory in _places(cache.root / ARTIFACTS):
        if directory.name in used:
            artifacts += _amount(directory)
        else:
            stale += _amount(directory)
    texts = Amount()
    for directory in _places(cache.root / TEXTS):
        if _is_usable_text(directory):
            texts += _amount(directory)
        else:
            stale += _amount(directory)
    return CacheContents(
        directory=str(cache.root),
        steps=dict(sorted(steps.items())),
        artifacts=artifacts,
        texts=texts,
        stale=stale,
        state=sum(map(_amount, _states(cache)), Amount()),
    )


def prune(cache: StepCache, *, older_than_days: int | None = None, everything: bool = False) -> Amount:
    """Remove what this version cannot use.

    Args:
        cache: whose steps nobody stores meanwhile: its lock is held.
        older_than_days: remove finished steps and tokenized texts that were made before so many days as well.
        everything: remove all finished steps and tokenized texts, and the state of trainings and searches.

    Returns:
        What was removed.

    Raises:
        LingoLiteError: the cache cannot be written.
    """
    if not cache.root.is_dir():
        return Amount()
    check_writable(cache.root)
    removed = Amount()
    with cache.locked():
        used: set[str] = set()
        for directory in _places(cache.root / STEPS):
            entry = _usable(directory)
            if entry is None or everything or _is_older(directory, older_than_days):
                removed += _remove(directory)
            elif entry.artifact is not None:
                used.add(entry.artifact)
        for directory in _places(cache.root / ARTIFACTS):
            if directory.name not in used:
                removed += _remove(directory)
        for directory in _places(cache.root / TEXTS):
            if everything or not _is_usable_text(directory) or _is_older(directory, older_than_days):
                removed += _remove(directory)
        for directory in _states(cache) if everything else ():
            removed += _remove(directory)
    return removed


def _places(root: Path) -> Iterator[Path]:
    """Entries under their keys, or artifacts under their digests; and what killed processes left beside them."""
    for group in sorted(root.glob("*")):
        sweep_dead(group)
        held = {path.name.removesuffix(LEASE_SUFFIX) for path in group.glob(f".*{LEASE_SUFFIX}")}
        for path in sorted(group.glob("*")):
            if path.stem not in held and path.suffix != LEASE_SUFFIX:
                yield path


def _usable(directory: Path) -> CacheEntry | None:
    try:
        entry = read_entry(directory)
    except (OSError, ValueError, RecursionError, LingoLiteError):
        return None
    return entry if entry.key == directory.name and entry.host == host_digest() else None


def _is_usable_text(directory: Path) -> bool:
    return find_entry(directory, host=host_digest(), verify=False) is not None


def _states(cache: StepCache) -> list[Path]:
    return sorted(cache.state_root.glob("*/*"))


def _is_older(directory: Path, days: int | None) -> bool:
    return days is not None and directory.stat().st_mtime < time.time() - days * _DAY


def _remove(path: Path) -> Amount:
    amount = _amount(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return amount


def _amount(path: Path) -> Amount:
    files = [path] if path.is_file() else path.rglob("*")
    return Amount(1, sum(file.lstat().st_size for file in files if file.is_file()))
