"""What runs in the process of an actor: a handler, and the files that it reads, which each machine gets once.

Owns how files come to a machine. Where they lie there already, as on a shared disk, nothing is sent.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.files.lock import exclusive
from lingolite_cli.plugins.executors import Handler, Work
from lingolite_cli.workers.channel import failure_of
from lingolite_cli.workers.handler import make_handler
from lingolite_cli.workers.handling import Handled, Made

Content = dict[str, bytes]
"""Files of a directory, by their paths in it."""


class HandlerActor:
    """Runs one handler. Answers are messages of `lingolite_cli.workers.handling`, so that errors keep what they say.

    Args:
        work: what is done.
        fingerprints: of its artifacts, by the handler's names.
    """

    def __init__(self, work: Work, fingerprints: Mapping[str, str]) -> None:
        self._work = work
        self._fingerprints = fingerprints
        self._handler: Handler | None = None

    def missing(self) -> list[str]:
        """The artifacts that this machine does not have."""
        return [name for name in self._work.artifacts if self._place(name) is None]

    def make(self, contents: Mapping[str, Sequence[Any]]) -> bytes:
        """Make the handler.

        Args:
            contents: of artifacts that a machine lacks: a reference each, in a list, so that Ray sends it only to those
                who ask.
        """
        try:
            found = {name: self._place(name) or self._fetched(name, contents[name][0]) for name in self._fingerprints}
            self._handler = make_handler(self._work.handler, self._work.setup, found)
        except BaseException as error:
            return msgspec.msgpack.encode(failure_of(error))
        return msgspec.msgpack.encode(Made())

    def ask(self, request: bytes) -> bytes:
        """Answer a request."""
        assert self._handler is not None, "asked before it was made"
        try:
            return msgspec.msgpack.encode(Handled(content=self._handler(request)))
        except BaseException as error:
            return msgspec.msgpack.encode(failure_of(error))

    def _place(self, name: str) -> Path | None:
        """Where an artifact lies on this machine, with the very bytes that it has where it comes from."""
        for place in (self._work.artifacts[name], _kept(self._fingerprints[name])):
            if place.is_dir() and fingerprint(place) == self._fingerprints[name]:
                return place
        return None

    def _fetched(self, name: str, reference: Any) -> Path:
        import ray

        place = _kept(self._fingerprints[name])
        with exclusive(place.with_name(f"{place.name}.lock")):  # actors of one machine fetch it once
            if not place.is_dir():
                content: Content = ray.get(reference)
                with atomic_directory(place) as directory:
                    for path, data in content.items():
                        (directory / path).parent.mkdir(parents=True, exist_ok=True)
                        (directory / path).write_bytes(data)
        return place


def _kept(fingerprint: str) -> Path:
    return Path(tempfile.gettempdir()) / f"lingolite-ray-{fingerprint[:32]}"


def fingerprint(directory: Path) -> str:
    """SHA-256 over names and bytes of all files in a directory, in hex."""
    digest = hashlib.sha256()
    for path in _files(directory):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def content_of(directory: Path) -> Content:
    """All files in a directory."""
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in _files(directory)}


def _files(directory: Path) -> list[Path]:
    return sorted(Path(place) / name for place, _, names in os.walk(directory) for name in names)
