"""Texts to train on as token ids, kept on disk, so that they are tokenized once and not at every start.

Owns keys, entries and when an entry is good: whole, of this very text, tokenizer and options, and made by this code.
Anything else is a miss. The layout of the ids is `lingolite_cli.training.pair_ids`'s.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.files.atomic import partial_directory, publish_directory
from lingolite_cli.files.digests import canonical_json, sha256_file, sha256_json
from lingolite_cli.files.integrity import FileWatch
from lingolite_cli.files.text import text_digest

ENTRY_NAME = "entry.json"


class KeptRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a text had: as `lingolite_cli.corpora.pairs.TextReport`, with lines in place of files and lines."""

    num_rows: int
    num_pairs: int
    num_short: int
    bad: dict[str, int]
    first_bad: dict[str, int]


class TextEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entry.json`: a text as ids.

    Attributes:
        key: of the text. An entry that lies under another key is none.
        host: digest of LingoLite's code that made it.
        rows: what the text had.
        files: SHA-256 of each file beside the entry.
        digest: of rows and files.
    """

    key: str
    host: str
    rows: KeptRows
    files: dict[str, str]
    digest: str


class TextCache:
    """Texts as ids under one directory.

    Args:
        root: made when first written to.
        host: digest of LingoLite's code, which is a part of each key.
        is_fresh: tokenize every text once more.
    """

    def __init__(self, root: Path, *, host: str, is_fresh: bool = False) -> None:
        self._root = root
        self._host = host
        self._is_fresh = is_fresh

    def text(
        self, paths: Sequence[Path], description: dict[str, object], write: Callable[[Path], KeptRows]
    ) -> tuple[Path, KeptRows]:
        """The directory of a text, and what the text had; written now unless it is kept.

        Args:
            paths: its files.
            description: what decides the ids of a text, as plain values.
            write: puts the ids into the directory that it is given.

        Raises:
            LingoLiteError: a file cannot be read, or was changed while it was read.
        """
        watch = FileWatch(paths)
        key = self._key(paths, description)
        place = self._root / key[:2] / key
        entry = None if self._is_fresh else find_entry(place, host=self._host)
        if entry is None:
            entry = self._store(key, place, write, check=watch.check)
        return place, entry.rows

    def _key(self, paths: Sequence[Path], description: dict[str, object]) -> str:
        parts = {
            "host": self._host,
            "byteorder": sys.byteorder,
            "texts": [text_digest(path) for path in paths],
            **description,
        }
        return sha256_json(parts)

    def _store(
        self, key: str, place: Path, write: Callable[[Path], KeptRows], *, check: Callable[[], None]
    ) -> TextEntry:
        with partial_directory(place) as directory:
            rows = write(directory)
            check()
            files = {path.name: sha256_file(path) for path in sorted(directory.iterdir())}
            entry = TextEntry(key=key, host=self._host, rows=rows, files=files, digest=_digest(rows, files))
            (directory / ENTRY_NAME).write_bytes(canonical_json(entry))
            # Another run may have stored the same meanwhile: equal bytes, and whoever reads the old ones goes on.
            publish_directory(directory, place)
        return entry


def find_entry(place: Path, *, host: str, verify: bool = True) -> TextEntry | None:
    """The entry in a directory, when it is whole, and was made by the code `host`.

    Args:
        place: the directory, which is called as its key.
        host: digest of LingoLite's code.
        verify: read all files and compare their digests.
    """
    try:
        entry = msgspec.json.decode((place / ENTRY_NAME).read_bytes(), type=TextEntry)
        is_named = entry.key == place.name and entry.host == host and entry.digest == _digest(entry.rows, entry.files)
        is_whole = is_named and all(
            "/" not in name and (not verify or sha256_file(place / name) == digest)
            for name, digest in entry.files.items()
        )
    except (OSError, ValueError, RecursionError):
        return None
    return entry if is_whole else None


def _digest(rows: KeptRows, files: dict[str, str]) -> str:
    return sha256_json({"rows": msgspec.to_builtins(rows), "files": files})
