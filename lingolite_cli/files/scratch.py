"""Directories for temporary files, cleared by a later process where the one that made them was killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingolite_cli.files.lease import leased, sweep_dead

_STEM = "lingolite-scratch"


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """An empty directory among the machine's temporary files, removed when the block ends.

    Those of killed processes are removed first.

    Raises:
        OSError: temporary files cannot be written.
    """
    place = Path(tempfile.gettempdir())
    sweep_dead(place, stem=_STEM)
    with leased(place, _STEM) as lease:
        directory = lease.path(".files")
        directory.mkdir(mode=0o700)
        yield directory
