"""`translations.jsonl`: what an `evaluate` step leaves for `verify`, reports and people. One line a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.faults import TranslatedSentence
from lingolite_cli.evaluation.scorer import Translations
from lingolite_cli.files.text import read_lines


class TranslationRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sentence. `tokens` are the best hypothesis' ids, `</s>` included where it was reached; `score` is its
    log-probability over the length penalty."""

    index: int
    source: str
    references: list[str]
    hypothesis: str
    tokens: list[int]
    score: float
    is_truncated: bool
    is_finished: bool


TRANSLATIONS_NAME = "translations.jsonl"


def write_translations(path: Path, records: Iterable[TranslationRecord]) -> None:
    """Write records, one JSON object a line."""
    with path.open("wb") as stream:
        for record in records:
            stream.write(msgspec.json.encode(record) + b"\n")


def read_translations(path: Path) -> list[TranslationRecord]:
    """Read what `write_translations` wrote.

    Raises:
        OSError: there is no such file.
        LingoLiteError: a line is no such record, or the file is damaged.
    """
    return list(_records(path))


def read_texts(path: Path) -> Translations:
    """The texts alone of what `write_translations` wrote: ids of tokens take most of the memory of records.

    Raises:
        LingoLiteError: as of `read_translations`.
    """
    texts = Translations([], [], [])
    for record in _records(path):
        texts.append(record.source, record.references, record.hypothesis)
    return texts


def _records(path: Path) -> Iterator[TranslationRecord]:
    decoder = msgspec.json.Decoder(TranslationRecord)
    with path.open("rb") as stream:
        for number, line in enumerate(read_lines(stream, name=str(path)), start=1):
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise LingoLiteError(
                    f"{path} is not a file of translations: line {number}: {error}",
                    hint="`lingolite eval --save-translations FILE` and each run write such files",
                ) from None


def as_translations(records: Sequence[TranslationRecord]) -> Translations:
    """Records as what two systems are compared by."""
    return Translations(
        [record.source for record in records],
        [record.references for record in records],
        [record.hypothesis for record in records],
    )


def as_judged(records: Sequence[TranslationRecord]) -> list[TranslatedSentence]:
    """Records as what faults are looked for in."""
    return [
        TranslatedSentence(record.source, record.references, record.hypothesis, record.is_finished)
        for record in records
    ]
