"""What a command writes where its user says, checked before any work: it must never be something that is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import check_writable
from lingolite_cli.files.special import is_special

_PACKINGS = (".gz", ".zst", ".xz", ".bz2", ".lz4", ".br", ".7z", ".zip", ".rar", ".tgz", ".tar")


def check_output(path: Path, *, flag: str, inputs: Iterable[Path] = (), packings: Collection[str] = ()) -> None:
    """Refuse a file that cannot be written, that is an input, by whatever name or link, or whose name is wrong of it.

    Args:
        path: where to. A pipe or a device is written through, and a link is followed.
        flag: what names it, for messages.
        inputs: files and directories that are read, and files that are written besides.
        packings: endings of names by which the writer packs the file.

    Raises:
        LingoLiteError: it is one of these, or inside of one; a directory; cannot be written to; or its name says that
            it is packed, and it would not be.
    """
    if path.suffix in _PACKINGS and path.suffix not in packings:
        hint = (
            f"end the name in {' or '.join(packings)}, or in neither" if packings else "name a plain file, and pack it"
        )
        raise LingoLiteError(f"{flag} {path}: {path.suffix} is not written", hint=hint)
    if path.is_dir():
        raise LingoLiteError(f"{path} is a directory", hint="name the file to write")
    refuse_inputs(path, flag=flag, inputs=inputs)
    if not is_special(path):
        check_writable(Path(os.path.realpath(path)).parent)
    elif path.exists() and not os.access(path, os.W_OK):
        raise LingoLiteError(f"{flag} {path}: permission denied")


def refuse_inputs(path: Path, *, flag: str, inputs: Iterable[Path]) -> None:
    """Refuse a place that is one of `inputs`, inside of one, or around one.

    Raises:
        LingoLiteError: naming the input.
    """
    for other in inputs:
        if _is_within(path, other):
            raise LingoLiteError(f"{flag} {path} would be written over {other}, which is read", hint=_ELSEWHERE)
        if path.is_dir() and _is_within(other, path):
            raise LingoLiteError(f"{flag} {path} would replace {other}, which is read", hint=_ELSEWHERE)


_ELSEWHERE = "choose another place"


def _is_within(path: Path, other: Path) -> bool:
    """Whether `path` is `other`, or in that directory."""
    real = Path(os.path.realpath(path))
    return any(_is_same(place, other) for place in (real, *real.parents))


def _is_same(first: Path, second: Path) -> bool:
    try:
        mode = first.stat().st_mode
        # Streams may be both: what is written to a terminal is not what was read from it.
        return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)
