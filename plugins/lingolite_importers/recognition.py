"""Which importer reads a path: by names and first bytes. Imports nothing heavy, and raises nothing."""

from __future__ import annotations

from pathlib import Path

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"


def is_checkpoint(path: Path) -> bool:
    """A file of torch.save, in either of its formats, under a name of checkpoints."""
    return path.suffix in (".pt", ".pth", ".ckpt") and _first_bytes(path, 4).startswith((_ZIP, _PICKLE))


def _first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a regular file; none where it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError:
        return b""
