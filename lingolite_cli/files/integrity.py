"""Files that must be what somebody said they are: safe names, regular files, and whether one was exchanged meanwhile.

Owns what is true of any directory of named files. Which files an artifact has, and their digests, is
`lingolite_cli.artifact`'s.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.special import is_stream

LONGEST_NAME = 1024
"""Characters of a path inside an artifact. File systems end at 255 bytes a part; nothing that we write comes near."""

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has no such flag
# A FIFO would otherwise wait for its writer, for ever.
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_BLOCK = 1 << 20


class Identity(NamedTuple):
    """What changes when a file is exchanged, written to, or renamed over: no content can come back with all of it."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Identity:
        """From what the system tells of a file."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class FileWatch:
    """Files as they are when this is made: tells afterwards whether one was touched, even if it is as it was again.

    Args:
        paths: of files. What is read once, such as a pipe, cannot be changed and is not watched.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._identities = {path: _identity(path) for path in paths if not is_stream(path)}

    def check(self, paths: Iterable[Path] | None = None) -> None:
        """Refuse what was made of files that were touched meanwhile.

        Args:
            paths: those of the files that count; None is all.

        Raises:
            LingoLiteError: naming the file.
        """
        for path in self._identities if paths is None else paths:
            if path in self._identities and _identity(path) != self._identities[path]:
                raise LingoLiteError(
                    f"{path} was changed while it was used, if only for a moment; the outcome is not kept",
                    hint="run the same command again",
                )


def _identity(path: Path) -> Identity | None:
    try:
        return Identity.of(path.stat())
    except OSError:
        return None


def name_problem(name: str) -> str | None:
    """Why `name` is not the name of a file inside a directory; None where it is one.

    A name is a relative POSIX path without `.`, `..`, empty parts, backslashes and control characters, so that it means
    the same file on every system.
    """
    if len(name) > LONGEST_NAME or any(len(part.encode("utf-8", "replace")) > 255 for part in name.split("/")):
        return f"names a file with a name of {len(name):,} characters"
    if not name or name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        return f"names a file outside the artifact: {name}"
    if "\\" in name or not name.isprintable() or not {"", "."}.isdisjoint(name.split("/")):
        return f"names a file in a way that is not a plain relative path: {name!r}"
    return None


def irregularity(root: Path, name: str) -> str | None:
    """Why the file `name` inside `root` must not be read; None where it is a regular file and no part is a link."""
    path = root
    parts = name.split("/")
    for part in parts:
        path = path / part
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return "is missing"
        if stat.S_ISLNK(mode):
            return "is a link"
        if part is not parts[-1] and not stat.S_ISDIR(mode):
            return "is missing"
    return None if stat.S_ISREG(mode) else "is not a regular file"


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file that is regular and no link, without ever waiting for it.

    Raises:
        OSError: it cannot be opened, or is of another kind.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_LINKS | _NO_WAITING | _BINARY)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        yield stream


def check_utf8(path: Path) -> None:
    """Refuse a path that libraries written in C++ cannot open, because it is not text.

    Raises:
        LingoLiteError: with the path as its bytes are.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise LingoLiteError(
            f"the path {os.fsencode(path)!r} is not UTF-8, and engines and exporters cannot open it",
            hint="rename the directory, or move what is in it to a path that is UTF-8",
        ) from None


class Digested(NamedTuple):
    """A file as it was while it was digested."""

    identity: Identity
    sha256: str


def digest_regular(path: Path) -> Digested:
    """SHA-256 and identity of a file, of one and the same file whatever happens to its name meanwhile.

    Raises:
        OSError: it cannot be read, or is not regular.
    """
    with open_regular(path) as stream:
        digest = hashlib.sha256()
        identity = Identity.of(os.fstat(stream.fileno()))
        while block := stream.read(_BLOCK):
            digest.update(block)
    return Digested(identity, digest.hexdigest())
