"""Options that several commands share, and how their text is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.commands.completion import backend_names, executor_names, metric_names
from lingolite_cli.corpora.artifact import DEFAULT_SHARD_LINES, MOST_SHARD_LINES
from lingolite_cli.corpora.lines import Compression
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.steps_ahead import LOCAL, Ahead
from lingolite_cli.plugins.extras import CORPORA, require
from lingolite_cli.schema import parse_options
from lingolite_cli.text.languages import is_same_tag

Model = Annotated[
    Path | None, typer.Option(metavar="PATH", help="The artifact, or a checkpoint; default: the project's model.")
]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Of a checkpoint: its SentencePiece model, or a directory that holds one; default: tokenizer/ beside it.",
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The directory to make.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the artifact that is there.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Threads for the engine; default: the project's, or 1.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes that translate at the same time, each with an engine of its own; default: 1.",
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The backend; another format is made if it needs one.", autocompletion=backend_names
    ),
]
BeamSize = Annotated[int | None, typer.Option(min=1, metavar="N", help="1 is greedy search.")]
LengthPenalty = Annotated[float | None, typer.Option(metavar="ALPHA", help="GNMT's alpha, for beams.")]
MaxLength = Annotated[int | None, typer.Option(min=1, metavar="N", help="Most target tokens a sentence.")]
SplitSentences = Annotated[
    bool | None,
    typer.Option(help="Translate sentence by sentence; default: yes, unless the model was trained on documents."),
]
ShardLines = Annotated[
    int | None, typer.Option(min=1, metavar="N", help=f"Lines of a shard; default: {DEFAULT_SHARD_LINES}.")
]
CompressionOption = Annotated[
    str | None, typer.Option("--compression", metavar="NAME", help="Of shards: gzip or zstd; default: gzip.")
]
Languages = Annotated[
    str | None, typer.Option(metavar="SRC-TGT", help="Languages, such as en-da; with regions pt-BR:en.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics",
        metavar="NAME,…",
        help="Metrics, separated by commas; default: the project's.",
        autocompletion=metric_names,
    ),
]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the plugin; repeatable.")
]


def parse_languages(text: str | None) -> tuple[str, str] | None:
    """`en-da`, or `pt-BR:en` where a language has a hyphen itself, as a pair.

    Raises:
        LingoLiteError: it is not two names, the same name twice, or it could be several pairs.
    """
    if text is None:
        return None
    parts = text.split(":" if ":" in text else "-")
    if ":" not in text and len(parts) > 2 and all(parts):
        pairs = [f"{'-'.join(parts[:place])}:{'-'.join(parts[place:])}" for place in range(1, len(parts))]
        raise LingoLiteError(
            f"--languages {text}: it is not clear where the second language begins",
            hint=f"put a colon between the two: `--languages {pairs[-1]}`, or {' or '.join(pairs[:-1])}",
        )
    if len(parts) != 2 or not all(parts):
        raise LingoLiteError(
            f"--languages {text}: expected two languages", hint="for example `--languages en-da`, or pt-BR:en"
        )
    if is_same_tag(*parts):
        raise LingoLiteError(
            f"--languages {text}: source and target are the same language", hint="for example `--languages en-da`"
        )
    return parts[0], parts[1]


ExecutorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Who does steps ahead that time nothing; default: local, with --workers.",
        autocompletion=executor_names,
    ),
]


def parse_ahead(executor: str | None, option: Sequence[str] | None, workers: int | None) -> Ahead | None:
    """Who does steps ahead of a run; None where nobody is named, and the run does all of them."""
    if executor is None and workers in (None, 1):
        return None
    return Ahead(executor=executor or LOCAL, options=parse_options(option), num_workers=workers or 1)


def parse_shard_lines(number: int | None) -> int:
    """Lines of a shard, or the default.

    Raises:
        LingoLiteError: a shard, which is in memory as a whole, would be too large.
    """
    if number is not None and number > MOST_SHARD_LINES:
        raise LingoLiteError(f"--shard-lines must be at most {MOST_SHARD_LINES:,}, not {number:,}")
    return number or DEFAULT_SHARD_LINES


def parse_compression(text: str | None) -> Compression:
    """The name of a compression of shards, or the default.

    Raises:
        LingoLiteError: there is no such compression, or its package is not installed.
    """
    if text is None:
        return "gzip"
    try:
        found: Compression = msgspec.convert(text, Compression)
    except msgspec.ValidationError:
        raise LingoLiteError(f"--compression {text}: unknown", hint="gzip or zstd") from None
    if found == "zstd":
        require(CORPORA, what="--compression zstd")
    return found


def parse_metrics(texts: Sequence[str] | None) -> list[str] | None:
    """`bleu,chrf`, given once or several times, as names, each of them once; None where none was given.

    Raises:
        LingoLiteError: it names none.
    """
    if not texts:
        return None
    names = dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip())
    if not names:
        raise LingoLiteError("--metrics names no metric", hint="for example `--metrics bleu,chrf`")
    return list(names)


def parse_numbers(text: str, *, flag: str) -> list[int]:
    """`1,32` as numbers.

    Raises:
        LingoLiteError: a part is not a whole number.
    """
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise LingoLiteError(f"{flag} {text}: expected numbers", hint=f"for example `{flag} 1,32`") from None
