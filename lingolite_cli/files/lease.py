"""Leases: a mark beside temporary files that says whether the process that made them still lives.

Owns the mark: a file that its process keeps locked. The kernel frees the lock when the process dies, however it dies,
and every process of the machine sees it. A process id would not do: containers that share a directory each count their
own, so that a living process of one is a dead one, or a stranger, to the other.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lingolite_cli.files.lock import close_lock, try_lock

LEASE_SUFFIX = ".lease"
_TOKEN = r"[0-9a-f]{12}"
_NO_LOCKS = (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK)
"""Of a file system without locks. Nothing on it is ever swept, for nobody can tell what is dead."""


class Lease:
    """A lease that this process holds until `release`, or until it dies.

    Args:
        directory: where the leased files will be; it exists.
        stem: what their names begin with; `path` adds a suffix to it.

    Raises:
        OSError: the directory cannot be written to.
    """

    def __init__(self, directory: Path, stem: str) -> None:
        self._directory = directory
        self._name = f"{stem}.{secrets.token_hex(6)}"
        self._descriptor: int | None = None
        while self._descriptor is None:
            # Locked only after it was made: a sweeper may take it for dead in between, and remove it.
            descriptor = self._take()
            if descriptor is None:
                continue
            if self.path(LEASE_SUFFIX).exists():
                self._descriptor = descriptor
            else:
                close_lock(descriptor)

    def path(self, suffix: str) -> Path:
        """The leased file or directory of that suffix."""
        return self._directory / f"{self._name}{suffix}"

    def _take(self) -> int | None:
        path = self.path(LEASE_SUFFIX)
        try:
            return try_lock(path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def release(self) -> None:
        """Give the lease back. What is still there under its name is removed."""
        assert self._descriptor is not None, "released twice"
        _remove_leased(self._directory, self._name)
        close_lock(self._descriptor)
        self._descriptor = None


@contextmanager
def leased(directory: Path, stem: str) -> Iterator[Lease]:
    """A lease for as long as the block lasts; see `Lease`."""
    lease = Lease(directory, stem)
    try:
        yield lease
    finally:
        lease.release()


def sweep_dead(directory: Path, *, stem: str | None = None) -> int:
    """Remove what dead processes leased in `directory`; what a living one holds stays.

    Args:
        directory: need not exist.
        stem: only what was leased under this one; None is all.

    Returns:
        How many leases were cleared.
    """
    beginning = re.escape(stem) if stem is not None else ".*"
    pattern = re.compile(rf"^(?P<name>{beginning}\.{_TOKEN}){re.escape(LEASE_SUFFIX)}$", re.DOTALL)
    num_cleared = 0
    for name in _names(directory):
        found = pattern.match(name)
        if found is None or not _is_ours(directory / name):
            continue
        with suppress(OSError):
            descriptor = try_lock(directory / name)
            if descriptor is None:
                continue
            try:
                _remove_leased(directory, found["name"])
                num_cleared += 1
            finally:
                close_lock(descriptor)
    return num_cleared


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _is_ours(path: Path) -> bool:
    """Whether this user made it: the directory for temporary files is everybody's."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return not path.is_symlink() and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def _remove_leased(directory: Path, name: str) -> None:
    """Everything under that name; the lease itself last, so that whatever interrupts this can be done again."""
    lease = f"{name}{LEASE_SUFFIX}"
    for other in _names(directory):
        if other.startswith(f"{name}.") and other != lease:
            path = directory / other
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    (directory / lease).unlink(missing_ok=True)
