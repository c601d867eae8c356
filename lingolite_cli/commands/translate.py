"""`lingolite translate`: text, a file, a document or stdin, translated as it comes; or a whole text into a corpus."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from lingolite_cli.artifact import Artifact
from lingolite_cli.commands.aliases import takes_aliases
from lingolite_cli.commands.bulk import bulk_options, check_bulk
from lingolite_cli.commands.completion import executor_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    Backend,
    BeamSize,
    CompressionOption,
    JsonFlag,
    Languages,
    LengthPenalty,
    MaxLength,
    Model,
    Options,
    ShardLines,
    SplitSentences,
    Threads,
    Tokenizer,
    Workers,
    parse_languages,
)
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.output import check_output
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.corpus_translation import CorpusTranslationRequest, translate_to_corpus
from lingolite_cli.jobs.inputs import model_path
from lingolite_cli.jobs.plugin_options import plugin_options, shared_options
from lingolite_cli.jobs.runnable import backend_to_translate
from lingolite_cli.jobs.source_texts import Source, file_texts, remarked, stdin_texts, typed_texts
from lingolite_cli.jobs.translation import EngineRequest, asked_decoding, open_translator, translation_languages
from lingolite_cli.process.streams import loss_of
from lingolite_cli.schema import parse_options
from lingolite_cli.text.visible import shown
from lingolite_cli.views.corpus import show_translated_corpus
from lingolite_cli.views.translations import print_all, print_in_steps, warn_of

if TYPE_CHECKING:
    from lingolite_cli.decoding.sentences import SentenceTranslator


@takes_aliases("backend")
def translate_lines(
    typer_context: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; default: the lines of stdin.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Translate a file, line by line; or a document, whose markup stays."
        ),
    ] = None,
    document: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What the file is: text, subtitles, tmx, xliff, html or markdown; default: by name and beginning.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the translations here, not on stdout.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Translate --file, lines or a corpus, into a corpus here, in shards; a job that was killed goes on.",
        ),
    ] = None,
    shard_lines: ShardLines = None,
    compression: CompressionOption = None,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Where shards are translated; default: local.", autocompletion=executor_names
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew where --out has the translations of another job.")
    ] = False,
    model: Model = None,
    tokenizer: Tokenizer = None,
    backend: Backend = None,
    languages: Languages = None,
    split_sentences: SplitSentences = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    n_best: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Translations of each text, tab-separated.")
    ] = None,
    max_length: MaxLength = None,
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
    _check_source(text, file, document=document)
    if stream:
        given = ["--json"] * json + ["--output"] * (output is not None)
        _check_stream(given, n_best=n_best, batch_size=batch_size, workers=workers)
    bulk = bulk_options(
        out, file, shard_lines=shard_lines, compression=compression, executor=executor, overwrite=overwrite
    )
    if bulk is not None:
        check_bulk(bulk, document=document, output=output, is_stream=stream, has_text=bool(text))
    _check_streams(is_stdin_read=not text and file is None, is_stdout_written=output is None and out is None)
    path = model_path(context, model, tokenizer=tokenizer)
    if output:
        check_output(output, flag="--output", inputs=[path, *([file] if file else [])])
    artifact = Artifact.open(path)
    asked = {"beam_size": beam_size, "length_penalty": length_penalty, "n_best": n_best, "max_length": max_length}
    decoding = asked_decoding(context, artifact, asked)
    # Lines that are typed in are answered one by one; a file or a pipe is sorted into batches.
    is_typed = not text and file is None and sys.stdin.isatty()
    if is_typed:
        _check_typed(workers)
    pairs = parse_options(option)
    name = backend_to_translate(
        context, format=artifact.manifest.format, asked=backend, has_options=bool(aliased or pairs)
    )
    if bulk is not None:
        pairs, bulk = _shared(context, pairs, bulk, backend=name)
    request = EngineRequest(
        backend=name,
        options=plugin_options(context.registry, kind="backend", name=name, aliased=aliased, pairs=pairs),
        threads=threads,
        workers=workers or 1,
        languages=parse_languages(languages),
        batch_size=batch_size or (1 if text or is_typed else 32),
        is_splitting=split_sentences,
    )
    if bulk is not None:
        outcome = translate_to_corpus(context, artifact, bulk, engine=request, decoding=decoding, console=console)
        show_translated_corpus(outcome, bulk.out, console)
        return
    pair = translation_languages(context, artifact, request.languages)
    source = _source(text, file, kind=document, languages=pair, warn=console.warn)
    if source.document is not None:
        _check_document(is_json=json, is_stream=stream, n_best=decoding.n_best)
    with open_translator(context, artifact, request, decoding=decoding, console=console) as opened:
        for warning in opened.warnings:
            console.warn(warning)
        _print_translated(source, opened.translator, console, output=output, is_stream=stream, n_best=decoding.n_best)


def _source(
    text: list[str] | None,
    file: Path | None,
    *,
    kind: str | None,
    languages: tuple[str, str],
    warn: Callable[[str], None],
) -> Source:
    """What is translated; of lines, the first in the script of another language is warned of."""
    if text:
        source = typed_texts(text)
    elif file is None:
        source = stdin_texts(kind=kind, languages=languages)
    else:
        source = file_texts(file, kind=kind, languages=languages)
    if source.document is not None:
        return source
    return Source(remarked(source.texts, languages[0], warn))


def _shared(
    context: JobContext, pairs: Mapping[str, Any], bulk: CorpusTranslationRequest, *, backend: str
) -> tuple[dict[str, Any], CorpusTranslationRequest]:
    """What `--option` gave: the options of the backend, and the request with those that only its executor has."""
    own, theirs = shared_options(
        context.registry, pairs, first=("backend", backend), second=("executor", bulk.executor)
    )
    return own, msgspec.structs.replace(bulk, executor_options=theirs)


def _print_translated(
    source: Source,
    translator: SentenceTranslator,
    console: Console,
    *,
    output: Path | None,
    is_stream: bool,
    n_best: int,
) -> None:
    """Print a document when all of it is translated, and lines as they come; to a file, write all of them or none."""
    if source.document is not None:
        _write(_translated(source, translator, console), output)
        return
    if is_stream:
        print_in_steps(translator, source.texts, console)
    elif output is None:
        print_all(translator.translate(source.texts), console, n_best=n_best)
    else:
        written = io.StringIO()
        print_all(translator.translate(source.texts), console, n_best=n_best, stream=written)
        _write(written.getvalue(), output)


def _translated(source: Source, translator: SentenceTranslator, console: Console) -> str:
    """The document with its translations."""
    assert source.document is not None
    texts = source.document.texts
    found = []
    with console.progress("translate", total=len(texts)) as progress:
        for number, translation in enumerate(progress.track(translator.translate(texts)), start=1):
            warn_of(number, translation, console)
            found.append(translation.text)
    written = source.document.written(found)
    if written.num_dropped:
        console.warn(
            f"{written.num_dropped:,} pairs of inline tags were left out: "
            "it is not certain which words of the translation they belong to"
        )
    return written.text


def _write(text: str, output: Path | None) -> None:
    if output is not None:
        write_atomic(output, text.encode())
        return
    sys.stdout.write(shown(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _check_source(text: list[str] | None, file: Path | None, *, document: str | None) -> None:
    """Refuse a second source, and a kind of document for texts."""
    if text and file:
        raise LingoLiteError("both text and --file were given", hint="pass one of them")
    if text and document:
        raise LingoLiteError("both text and --document were given", hint="--document tells what a file or stdin is")


def _check_typed(workers: int | None) -> None:
    """Refuse processes side by side for lines of which the next is typed when the last was answered."""
    if workers not in (None, 1):
        raise LingoLiteError(
            f"--workers {workers}: workers read ahead, and lines that are typed in are answered one by one",
            hint="leave it out, or translate a file or a pipe",
        )


def _check_document(*, is_json: bool, is_stream: bool, n_best: int) -> None:
    """Refuse what gives anything but one translation of each text."""
    given = ["--json"] * is_json + ["--stream"] * is_stream + [f"--n-best {n_best}"] * (n_best > 1)
    if given:
        raise LingoLiteError(
            f"a document and {given[0]} contradict one another", hint="the translation of a document is a document"
        )


def _check_stream(given: Sequence[str], **numbers: int | None) -> None:
    """Refuse what gives whole translations only."""
    refused = [*given, *(f"--{name.replace('_', '-')} {n}" for name, n in numbers.items() if n and n > 1)]
    if refused:
        raise LingoLiteError(
            f"--stream and {refused[0]} contradict one another",
            hint="--stream shows one translation at a time, as text",
        )


def _check_streams(*, is_stdin_read: bool, is_stdout_written: bool) -> None:
    """Translations have to go somewhere, unlike a verdict, which is in the exit code and the run's files too."""
    if is_stdout_written and loss_of(sys.stdout) is not None:
        raise LingoLiteError("stdout is closed: translations have nowhere to go", hint="redirect it: > FILE")
    if is_stdin_read and loss_of(sys.stdin) is not None:
        raise LingoLiteError("stdin is closed: there is nothing to translate", hint="pass TEXT, or --file FILE")
