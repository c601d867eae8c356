"""Which importer reads a path: by names and first bytes. Imports nothing heavy, and raises nothing."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_CONFIGURATION = "special:model.yml.npy"
"""The entry that Marian's archives have, and other archives of arrays have not."""
_MARIAN = (1).to_bytes(8, "little")
"""Version 1 of the container."""


def is_checkpoint(path: Path) -> bool:
    """A file of torch.save, in either of its formats, under a name of checkpoints."""
    return path.suffix in (".pt", ".pth", ".ckpt") and _first_bytes(path, 4).startswith((_ZIP, _PICKLE))


def is_marian(path: Path) -> bool:
    """A directory with one file of Marian's weights, or such a file; a container, a `.npz`, or either in gzip."""
    if path.is_dir():
        return any(is_marian(file) for file in _files(path))
    if path.name.startswith("lex."):
        return False
    if path.suffixes[-2:] == [".bin", ".gz"]:
        return _inflated(path, len(_MARIAN)) == _MARIAN
    if path.suffix == ".npz":
        return _CONFIGURATION in _entries(path)
    return path.suffix == ".bin" and _first_bytes(path, 8) == _MARIAN


def is_hugging_face(path: Path) -> bool:
    """A directory with the configuration of a model."""
    return path.is_dir() and (path / "config.json").is_file()


def _inflated(path: Path, count: int) -> bytes:
    """The first bytes of what is in a gzip file; none where it cannot be read."""
    try:
        with gzip.open(path) as stream:
            return stream.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def _entries(path: Path) -> list[str]:
    """Names in an archive; none where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []


def _files(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def _first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a regular file; none where it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError:
        return b""
