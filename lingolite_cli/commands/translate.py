"""`lingolite translate`: text, a file or stdin, translated as it comes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lingolite_cli.artifact import Artifact
from lingolite_cli.commands.aliases import takes_aliases
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    Backend,
    JsonFlag,
    Languages,
    Model,
    Options,
    Threads,
    Tokenizer,
    Workers,
    parse_languages,
)
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.encodings import not_utf8_hint
from lingolite_cli.files.text import lines_of, read_lines
from lingolite_cli.jobs.inputs import model_path
from lingolite_cli.jobs.plugin_options import plugin_options
from lingolite_cli.jobs.runnable import backend_for
from lingolite_cli.jobs.translation import EngineRequest, asked_decoding, open_translator
from lingolite_cli.process.streams import loss_of
from lingolite_cli.schema import parse_options
from lingolite_cli.text.visible import escaped_json, shown

if TYPE_CHECKING:
    from lingolite_cli.decoding.translator import Translation, Translator


@takes_aliases("backend")
def translate_lines(
    typer_context: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Sentences; default: the lines of stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Translate a file, line by line.")
    ] = None,
    model: Model = None,
    tokenizer: Tokenizer = None,
    backend: Backend = None,
    languages: Languages = None,
    beam_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="1 is greedy search.")] = None,
    length_penalty: Annotated[float | None, typer.Option(metavar="ALPHA", help="GNMT's alpha, for beams.")] = None,
    n_best: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Translations of each sentence, tab-separated.")
    ] = None,
    max_length: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most target tokens a sentence.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most sentences in a batch.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Show each translation token by token, as it comes; greedy search only.")
    ] = False,
    option: Options = None,
    threads: Threads = None,
    workers: Workers = None,
    json: JsonFlag = False,
    *,
    aliased: Mapping[str, Any],
) -> None:
    """Translate. One line in, one line out, in order; empty lines stay empty."""
    context = context_of(typer_context)
    console = context.console(json=json)
    if text and file:
        raise LingoLiteError("both text and --file were given", hint="pass one of them")
    if stream:
        _check_stream(is_json=json, n_best=n_best, batch_size=batch_size, workers=workers)
    _check_streams(is_stdin_read=not text and file is None)
    artifact = Artifact.open(model_path(context, model, tokenizer=tokenizer))
    asked = {"beam_size": beam_size, "length_penalty": length_penalty, "n_best": n_best, "max_length": max_length}
    decoding = asked_decoding(context, artifact, asked)
    lines = _typed(text) if text else _read_lines(file)
    # Lines that are typed in are answered one by one; a file or a pipe is sorted into batches.
    is_typed = not text and file is None and sys.stdin.isatty()
    if is_typed and workers not in (None, 1):
        raise LingoLiteError(
            f"--workers {workers}: workers read ahead, and lines that are typed in are answered one by one",
            hint="leave it out, or translate a file or a pipe",
        )
    name = backend_for(context, format=artifact.manifest.format, asked=backend)
    pairs = parse_options(option)
    request = EngineRequest(
        backend=name,
        options=plugin_options(context.registry, kind="backend", name=name, aliased=aliased, pairs=pairs),
        threads=threads,
        workers=workers or 1,
        languages=parse_languages(languages),
        batch_size=batch_size or (1 if text or is_typed else 32),
    )
    with open_translator(context, artifact, request, decoding=decoding, console=console) as opened:
        for warning in opened.warnings:
            console.warn(warning)
        if stream:
            _print_in_steps(opened.translator, lines, console)
        else:
            print_all(opened.translator.translate(lines), console, n_best=decoding.n_best)


def _check_stream(*, is_json: bool, **numbers: int | None) -> None:
    """Refuse what gives whole translations only."""
    given = ["--json"] if is_json else [f"--{name.replace('_', '-')} {n}" for name, n in numbers.items() if n and n > 1]
    if given:
        raise LingoLiteError(
            f"--stream and {given[0]} contradict one another", hint="--stream shows one translation at a time, as text"
        )


def _check_streams(*, is_stdin_read: bool) -> None:
    """Translations have to go somewhere, unlike a verdict, which is in the exit code and the run's files too."""
    if loss_of(sys.stdout) is not None:
        raise LingoLiteError("stdout is closed: translations have nowhere to go", hint="redirect it: > FILE")
    if is_stdin_read and loss_of(sys.stdin) is not None:
        raise LingoLiteError("stdin is closed: there is nothing to translate", hint="pass TEXT, or --file FILE")


def _typed(texts: list[str]) -> list[str]:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:  # the shell passed bytes that are no text
            raise LingoLiteError(f"{text!r}: not UTF-8", hint="check the terminal's encoding") from None
    return texts


def _read_lines(file: Path | None) -> Iterator[str]:
    name = str(file) if file else "stdin"
    lines = lines_of(file) if file else read_lines(sys.stdin.buffer, name=name)
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise LingoLiteError(
                f"{name}, line {number}: not UTF-8: byte {error.start} is {line[error.start]:#04x}",
                hint=not_utf8_hint(line),
            ) from None


def print_all(translations: Iterable[Translation], console: Console, *, n_best: int) -> None:
    """Print translations as they come: a line each, or a JSON document each."""
    for number, found in enumerate(translations, start=1):
        _warn_of(number, found, console)
        if console.is_json:
            document = msgspec.json.encode(found).decode()
            sys.stdout.write(f"{escaped_json(document) if sys.stdout.isatty() else document}\n")
        else:
            texts = [alternative.text for alternative in found.alternatives] if n_best > 1 else [found.text]
            sys.stdout.write("\t".join(map(_on_one_line, texts)) + "\n")
        sys.stdout.flush()
        if loss_of(sys.stdout) is not None:  # nobody reads on: the rest of an endless stdin need not be translated
            return


def _print_in_steps(translator: Translator, lines: Iterable[str], console: Console) -> None:
    for number, line in enumerate(lines, start=1):
        num_shown = 0
        for found in translator.translate_in_steps(line):
            sys.stdout.write(_on_one_line(found.text[num_shown:]))
            sys.stdout.flush()
            num_shown = len(found.text)
        sys.stdout.write("\n")
        sys.stdout.flush()
        if loss_of(sys.stdout) is not None:
            return
        _warn_of(number, found, console)


def _warn_of(number: int, found: Translation, console: Console) -> None:
    """What is wrong with the translation of a sentence."""
    if found.is_truncated:
        console.warn(f"sentence {number} has {found.num_source_tokens:,} tokens, more than the model reads: it was cut")
    if not found.is_finished and found.tokens:
        console.warn(f"sentence {number}: the translation was stopped at --max-length")


def _on_one_line(text: str) -> str:
    """A model may write any byte; a line of output is one translation all the same, and does a terminal no harm."""
    line = text.translate({ord(character): " " for character in "\n\r\t"})
    return shown(line) if sys.stdout.isatty() else line
