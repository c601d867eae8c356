"""What an artifact weighs when it is downloaded: its files as a zip archive holds them, the form in which apps ship."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from threading import Thread

from lingolite_cli.artifact import Artifact

CODEC = "deflate, level 9"
"""How each file is compressed, on its own; a file that this makes larger is sent as it is."""
_BLOCK = 1 << 20


def download_bytes(artifact: Artifact) -> int:
    """Compressed bytes of all files, the tokenizer included and the manifest not, as of `Artifact.size_bytes`.

    The same zlib gives the same number; another implementation of deflate may differ by a few in a thousand.
    """
    return sum(
        min(_deflated_bytes(artifact.path / name), entry.size_bytes) for name, entry in artifact.manifest.files.items()
    )


def measure_downloads(artifacts: Sequence[Artifact]) -> Future[list[int]]:
    """`download_bytes` of each artifact, in a thread: float weights that were integers take a second for 4 MB.

    zlib lets other threads run. An error of this one is raised by the future; the thread ends with the process.
    """
    found: Future[list[int]] = Future()

    def measure() -> None:
        try:
            found.set_result([download_bytes(artifact) for artifact in artifacts])
        except BaseException as error:
            found.set_exception(error)

    Thread(target=measure, daemon=True).start()
    return found


def _deflated_bytes(path: Path) -> int:
    """Compressed once per process unless the file changed: a run verifies several files against one reference."""
    status = path.stat()
    return _deflated_bytes_of(path, status.st_mtime_ns, status.st_size)


@cache
def _deflated_bytes_of(path: Path, _mtime_ns: int, _size: int) -> int:
    deflate = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)  # no header: a zip archive has its own
    with path.open("rb") as stream:
        count = sum(len(deflate.compress(block)) for block in iter(lambda: stream.read(_BLOCK), b""))
    return count + len(deflate.flush())
