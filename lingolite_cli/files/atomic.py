"""Files and directories that are written whole or not at all.

Owns the temporary place beside the final one, and how it takes the final name. What is written is the caller's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import explained, full_disk
from lingolite_cli.files.exchange import exchange
from lingolite_cli.files.lease import leased, sweep_dead
from lingolite_cli.files.special import is_special, write_through

_COPY_BYTES = 1 << 20


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary directory beside `path` that becomes `path` when the block ends, and vanishes when it fails.

    Args:
        path: where the directory will be. A link is followed, and stays.
        overwrite: replace what is at `path`; otherwise that is an error, raised before the block runs.

    Raises:
        LingoLiteError: `path` exists, its parent cannot be written, or somebody removed the temporary directory.
    """
    place = resolve_output(path)
    restore_replaced(place)
    if place.exists() and not overwrite:
        raise LingoLiteError(f"{path} exists", hint="choose another place, or pass --overwrite")
    with partial_directory(place) as temporary:
        yield temporary
        if place.exists() and not overwrite:
            raise LingoLiteError(f"{path} was made by another process meanwhile", hint="run the same command again")
        publish_directory(temporary, place)


@contextmanager
def partial_directory(path: Path) -> Iterator[Path]:
    """A temporary directory beside `path` that vanishes when the block ends, unless `publish_directory` took it away.

    What killed processes left half-written there is removed first.

    Raises:
        LingoLiteError: the parent of `path` cannot be written, its disk got full, or somebody removed the temporary
            directory.
    """
    stem = _stem(path)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep_dead(path.parent, stem=stem)
            temporary = stack.enter_context(leased(path.parent, stem)).path(".partial")
            temporary.mkdir()
        except OSError as error:
            found = full_disk(error, [path.parent])
            raise found or LingoLiteError(f"cannot write to {path.parent}: {error.strerror}") from None
        try:
            temporary.chmod(0o755)
            with explained(path.parent):
                yield temporary
        except FileNotFoundError as error:
            if temporary.is_dir():
                raise
            raise LingoLiteError(
                f"{path.parent} was removed while something was written there", hint="run the same command again"
            ) from error


def publish_directory(temporary: Path, path: Path) -> None:
    """Make a directory that is whole become `path`, in place of what is there.

    Whenever this is killed, the old one or the new one is whole: where the system can exchange two directories in one
    step, at `path` itself; elsewhere beside it, from where `restore_replaced` brings it back.
    """
    _fsync_tree(temporary)
    while True:
        try:
            os.rename(temporary, path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EACCES) or not os.path.lexists(
                path
            ):
                raise
            if exchange(temporary, path):
                _remove(temporary)
                break
            _set_aside(path)
    _fsync(path.parent)
    _remove(_aside(path))


def restore_replaced(path: Path) -> None:
    """Bring back what was at `path`, if a process was killed after it had moved it away and before it put the new."""
    aside = _aside(path)
    if not path.exists() and aside.exists():
        with suppress(FileNotFoundError):
            os.rename(aside, path)


def _aside(path: Path) -> Path:
    return path.with_name(f"{_stem(path)}.{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}.replaced")


def _stem(path: Path) -> str:
    """What names beside `path` begin with: with what is added, within 255 bytes whatever the characters are."""
    return f".{path.name[:50]}"


def _set_aside(path: Path) -> None:
    aside = _aside(path)
    _remove(aside)
    with suppress(FileNotFoundError):
        os.rename(path, aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _fsync_tree(root: Path) -> None:
    for directory, _, names in os.walk(root):
        for name in names:
            _fsync(Path(directory) / name)
        _fsync(Path(directory))


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a directory for syncing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    A link is followed. What is no file, such as a pipe or a device, is written through and stays what it is.

    Raises:
        LingoLiteError: the disk is full, permission is denied, or `path` is a directory.
    """
    write_blocks(path, [data])


def copy_atomic(source: Path, path: Path) -> None:
    """Copy a file as `write_atomic` writes one, without holding it in memory.

    Raises:
        LingoLiteError: as of `write_atomic`.
    """
    with source.open("rb") as stream:
        write_blocks(path, iter(partial(stream.read, _COPY_BYTES), b""))


def write_blocks(path: Path, blocks: Iterable[bytes]) -> None:
    """As `write_atomic`, of a stream of bytes.

    Raises:
        LingoLiteError: as of `write_atomic`.
    """
    try:
        if is_special(path):
            write_through(path, blocks)
        else:
            _write_atomic(resolve_output(path), blocks)
    except OSError as error:
        raise full_disk(error, [path]) or LingoLiteError(f"cannot write {path}: {error.strerror}") from None


def resolve_output(path: Path) -> Path:
    """Where what is written to `path` goes: behind all links, whether anything is there yet or not.

    Raises:
        LingoLiteError: the links lead nowhere.
    """
    real = Path(os.path.realpath(path))
    if real.is_symlink():  # which only a loop leaves
        raise LingoLiteError(f"cannot write {path}: {os.strerror(errno.ELOOP)}", hint="remove the link, or mend it")
    return real


def _write_atomic(path: Path, blocks: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_dead(path.parent, stem=_stem(path))
    with leased(path.parent, _stem(path)) as lease:
        temporary = lease.path(".partial")
        with temporary.open("xb") as stream:
            stream.writelines(blocks)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
