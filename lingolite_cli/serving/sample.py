"""The sample log: what a server did, a JSON object a request, for `lingolite monitor`.

Owns the form of a line, and a file that is bounded: when it is full it is renamed to `NAME.1`, and the oldest is
dropped. Texts are in it only where the operator asks for them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.text import read_lines

Outcome = Literal["done", "invalid", "refused", "late", "abandoned", "failed"]
"""What became of a request: translated; wrong or too large; not accepted, because the queue or the client's share of it
was full; not translated in time; left by the client; ended by an error of the engine."""


class SampledSentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of a request.

    Attributes:
        source_characters: its length.
        target_characters: that of the translation.
        source_tokens: inside of the frame.
        target_tokens: of the hypothesis, the end token included.
        log_probability: natural logarithm of the model's probability of a target token, mean.
        unknown: source tokens without a piece of the vocabulary, and characters of the translation that stand for such.
        faults: kinds of `lingolite_cli.evaluation.faults` that a translation shows without a reference.
        source: the text; None where texts are not logged.
        translation: likewise.
    """

    source_characters: int
    target_characters: int
    source_tokens: int
    target_tokens: int
    log_probability: float
    unknown: int = 0
    faults: tuple[str, ...] = ()
    source: str | None = None
    translation: str | None = None


class SampledRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log.

    Attributes:
        time: of the request's arrival, UTC, ISO 8601.
        model: the first 16 digits of the artifact's digest.
        outcome: what became of it.
        languages: source and target language; None where the request was refused before they were known.
        latency_ms: from arrival to answer.
        waited_ms: the longest that one of its sentences waited for a batch.
        sentences: those that were translated.
    """

    time: str
    model: str
    outcome: Outcome
    languages: tuple[str, str] | None = None
    latency_ms: float
    waited_ms: float = 0.0
    sentences: tuple[SampledSentence, ...] = ()


class SampleLogOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where requests are logged, and how much of them.

    Attributes:
        path: the file.
        share: of the requests, from 0 to 1.
        has_texts: whether sources and translations are in it.
        max_mb: size at which the file is renamed and a new one begun; 1 MB is 10^6 bytes.
        num_kept: older files that are kept.
    """

    path: str
    share: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    has_texts: bool = False
    max_mb: Annotated[float, Meta(gt=0.0, le=1e6)] = 100.0
    num_kept: Annotated[int, Meta(ge=1, le=1000)] = 5


class SampleLog:
    """Writes a sample log: each line is on its way to the disk when `write` returns.

    Args:
        options: where and how much.

    Attributes:
        num_lost: lines that could not be written, such as because the disk is full.

    Raises:
        LingoLiteError: the file cannot be written.
    """

    def __init__(self, options: SampleLogOptions) -> None:
        self._options = options
        self._credit = 0.0
        self.num_lost = 0
        try:
            self._handler = _Handler(options)
        except OSError as error:
            raise LingoLiteError(f"the sample log cannot be written: {options.path}: {error.strerror}") from None

    def write(self, request: SampledRequest) -> None:
        """Log a request, or leave it out where only a share is logged. A disk that is full loses lines, no request."""
        self._credit += self._options.share
        if self._credit < 1.0:
            return
        self._credit -= 1.0
        if not self._options.has_texts:
            request = msgspec.structs.replace(request, sentences=tuple(map(_without_texts, request.sentences)))
        line = msgspec.json.encode(request).decode()
        self._handler.handle(logging.LogRecord("lingolite", logging.INFO, "", 0, line, None, None))
        self.num_lost = self._handler.num_lost

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


class _Handler(RotatingFileHandler):
    def __init__(self, options: SampleLogOptions) -> None:
        super().__init__(
            options.path, maxBytes=int(options.max_mb * 1e6), backupCount=options.num_kept, encoding="utf-8"
        )
        self.num_lost = 0

    def _open(self) -> TextIOWrapper:
        """The file to go on with; half a line at its end would swallow the first of ours."""
        stream = super()._open()
        if _is_cut_short(Path(self.baseFilename)):
            stream.write("\n")
        return stream

    def handleError(self, record: logging.LogRecord) -> None:
        """Count, where `logging` would print a traceback for each line, and forget what was not written."""
        self.num_lost += 1
        stream, self.stream = self.stream, None
        with suppress(OSError):
            if stream is not None:
                stream.close()


def _is_cut_short(path: Path) -> bool:
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read() != b"\n"


def _without_texts(sentence: SampledSentence) -> SampledSentence:
    return msgspec.structs.replace(sentence, source=None, translation=None)


def read_sample_logs(
    paths: Sequence[Path], *, told: Callable[[str], None] = lambda remark: None
) -> Iterator[SampledRequest]:
    """The requests of logs, in the order of the files; see `rotated_logs`.

    A line may be cut short, where its writer was killed or is still writing: it is left out, and told of.

    Args:
        paths: the files.
        told: hears of each line that was left out.

    Raises:
        LingoLiteError: a file cannot be read, or a line is no request.
    """
    decoder = msgspec.json.Decoder(SampledRequest)
    for path in paths:
        with path.open("rb") as stream:
            for number, line in enumerate(read_lines(stream, name=str(path)), start=1):
                if not line.strip():
                    continue
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    if line.startswith(b"{") and ("truncated" in str(error) or not line.rstrip().endswith(b"}")):
                        told(f"{path}, line {number}, was cut short and is left out")
                        continue
                    raise LingoLiteError(
                        f"{path} is not a sample log: line {number}: {error}",
                        hint="`lingolite serve --sample-log FILE` writes one",
                    ) from None


def rotated_logs(path: Path) -> list[Path]:
    """A log and the older files beside it, oldest first."""
    older: list[Path] = []
    while (place := path.with_name(f"{path.name}.{len(older) + 1}")).is_file():
        older.append(place)
    return [*reversed(older), path]
