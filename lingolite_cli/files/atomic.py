"""Files and directories that are written whole or not at all.

Owns the temporary place beside the final one, and how it takes the final name. What is written is the caller's.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import explained, full_disk


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary directory beside `path` that becomes `path` when the block ends, and vanishes when it fails.

    Args:
        path: where the directory will be.
        overwrite: replace what is at `path`; otherwise that is an error, raised before the block runs.

    Raises:
        LingoLiteError: `path` exists, its parent cannot be written, or somebody removed the temporary directory.
    """
    if path.exists() and not overwrite:
        raise LingoLiteError(f"{path} exists", hint="choose another place, or pass --overwrite")
    with partial_directory(path) as temporary:
        yield temporary
        if path.exists() and not overwrite:
            raise LingoLiteError(f"{path} was made by another process meanwhile", hint="run the same command again")
        publish_directory(temporary, path)


@contextmanager
def partial_directory(path: Path) -> Iterator[Path]:
    """A temporary directory beside `path` that vanishes when the block ends, unless `publish_directory` took it away.

    Raises:
        LingoLiteError: the parent of `path` cannot be written, its disk got full, or somebody removed the temporary
            directory.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}-", suffix=".partial", dir=path.parent))
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
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish_directory(temporary: Path, path: Path) -> None:
    """Make a directory that is whole become `path`, in place of what is there."""
    _fsync_tree(temporary)
    _replace_directory(temporary, path)


def _replace_directory(new: Path, path: Path) -> None:
    """Put `new` at `path`, where other processes may be doing the same."""
    while True:
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.{os.getpid()}-", suffix=".old", dir=path.parent))
            with suppress(FileNotFoundError):
                os.replace(path, old / path.name)
            shutil.rmtree(old, ignore_errors=True)
        try:
            os.replace(new, path)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    _fsync(path.parent)


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

    Raises:
        LingoLiteError: the disk is full, permission is denied, or `path` is a directory.
    """
    try:
        _write_atomic(path, data)
    except OSError as error:
        raise full_disk(error, [path]) or LingoLiteError(f"cannot write {path}: {error.strerror}") from None


def _write_atomic(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
