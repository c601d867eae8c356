"""Directories whose files a manifest lists with their digests: read by name, and only as they were listed.

Owns what is true of any such directory, whatever its manifest says besides. Manifests of models are
`lingolite_cli.artifact`'s, those of corpora `lingolite_cli.corpora.artifact`'s.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.integrity import Identity, digest_regular, irregularity, open_regular

_MOST_READINGS = 3

T = TypeVar("T")


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size in bytes and SHA-256 (hex) of one file of an artifact."""

    size_bytes: int
    sha256: str


class VerifiedDirectory:
    """A directory whose files are listed with their digests.

    Every file is asked for by name, with `file` or `read_bytes`, so that none is read that is not listed.

    Args:
        path: the directory.
        files: those that are listed, by their names.
    """

    def __init__(self, path: Path, files: Mapping[str, FileEntry]) -> None:
        self.path = path
        self._files = files
        self._identities = self._identify()

    def verify(self) -> None:
        """Compare every file with the manifest; see `open`."""
        identities = self._identify()
        for name, entry in self._files.items():
            path = self.file(name)
            size_bytes = path.lstat().st_size
            if size_bytes != entry.size_bytes:
                raise damaged(path, f"has {size_bytes:,} bytes, not {entry.size_bytes:,}")
            try:
                found = digest_regular(path)
            except OSError as error:
                raise damaged(path, f"cannot be read: {error.strerror or error}") from None
            if found.sha256 != entry.sha256:
                raise damaged(path, "was changed: its SHA-256 is not the one in the manifest")
        # From before the digests were taken: what changed meanwhile differs from it ever after.
        self._identities = identities

    def file(self, name: str) -> Path:
        """Where the file `name` of the manifest is.

        Raises:
            LingoLiteError: the manifest does not list it, or it is missing, a link, or not a regular file.
        """
        path = self.path / name
        if name not in self._files:
            what = "is not listed in its manifest" if os.path.lexists(path) else "is missing, also from its manifest"
            raise damaged(path, f"{what}, so nobody knows whether it was changed")
        problem = irregularity(self.path, name)
        if problem is not None:
            raise damaged(path, problem)
        return path

    def read_bytes(self, name: str) -> bytes:
        """The content of a file; what is returned is what the manifest lists, byte by byte.

        Raises:
            LingoLiteError: as `file`, or its content is another one.
        """
        path = self.file(name)
        try:
            with open_regular(path) as stream:
                data = stream.read()
        except OSError as error:
            raise damaged(path, f"cannot be read: {error.strerror or error}") from None
        if hashlib.sha256(data).hexdigest() != self._files[name].sha256:
            raise damaged(path, "was changed: its SHA-256 is not the one in the manifest")
        return data

    def is_undisturbed(self) -> bool:
        """Whether all files are still those that they were when this artifact was last verified or opened.

        Compares what the file system says of each, and so costs next to nothing. False may also mean that a file got
        another name or another time; `verify` tells.
        """
        return self._identify() == self._identities

    def reading(self, read: Callable[[], T], *, undo: Callable[[T], object]) -> T:
        """Read files of this artifact by a library that opens them by their names, and be sure of what it read.

        Files could be exchanged after they were verified, and exchanged back afterwards. So where they were touched
        while they were read, what was read is thrown away, they are verified again, and read again.

        Args:
            read: what opens and reads them.
            undo: frees what `read` returned.

        Raises:
            LingoLiteError: a file was changed, or they do not come to rest.
        """
        for _ in range(_MOST_READINGS):
            result = read()
            if self.is_undisturbed():
                return result
            undo(result)
            self.verify()
        raise LingoLiteError(
            f"{self.path} is written to by another process while it is read", hint="run the same command again"
        )

    def _identify(self) -> dict[str, Identity | None]:
        """What tells each file and the directory from others that might take their places; None where there is none."""
        found: dict[str, Identity | None] = {}
        for name in ("", *self._files):
            try:
                found[name] = Identity.of((self.path / name).lstat() if name else self.path.stat())
            except OSError:
                found[name] = None
        return found

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, the tokenizer included and the manifest not."""
        return sum(entry.size_bytes for entry in self._files.values())


def damaged(path: Path, what: str) -> LingoLiteError:
    """The error about a file or directory that is not what its manifest says."""
    return LingoLiteError(f"{path} {what}", hint="the artifact is damaged or half-copied; make it or copy it again")
