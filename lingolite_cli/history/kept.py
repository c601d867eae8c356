"""Runs of a history as files beside it, one each: those that left nothing else to fill a damaged history from.

Owns the files of runs that were imported, that failed, or that were interrupted. Other runs have their directories.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.digests import canonical_json
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.history.rows import checksum_of


class _KeptRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    checksum: str
    run: RunEntry


def kept_directory(history: Path) -> Path:
    """Where the files of a history are."""
    return history.with_name(f"{history.name}.runs")


def keep_run(directory: Path, entry: RunEntry) -> None:
    """Write the file of a run.

    Raises:
        LingoLiteError: it cannot be written.
    """
    write_atomic(directory / f"{entry.id}.json", canonical_json(_KeptRun(checksum_of(entry), entry)))


def kept_runs(directory: Path, known: Collection[str], *, warn: Callable[[str], None]) -> Iterator[RunEntry]:
    """The runs in files that are not known yet.

    Args:
        directory: need not exist.
        known: ids, whose files are not read.
        warn: told of a file that cannot be read.
    """
    for path in sorted(directory.glob("*.json")):
        if path.stem in known:
            continue
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_KeptRun)
            if kept.checksum != checksum_of(kept.run) or kept.run.id != path.stem:
                raise ValueError("it is not what was written")
        except (OSError, ValueError, RecursionError, LingoLiteError) as error:
            warn(f"{path}: {error}; the history goes on without this run")
            continue
        yield kept.run
