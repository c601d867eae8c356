"""`lingolite corpus`: corpora shown and made of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    CompressionOption,
    JsonFlag,
    Out,
    Overwrite,
    ShardLines,
    parse_compression,
    parse_languages,
    parse_shard_lines,
)
from lingolite_cli.commands.usage import Command, Group
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.views.corpus import show_corpus

app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Make, show and filter corpora.")

CorpusPath = Annotated[Path, typer.Argument(metavar="CORPUS", help="The directory of a corpus.")]


@app.command(cls=Command)
def show(
    typer_context: typer.Context,
    corpus: CorpusPath,
    lines: Annotated[int, typer.Option("--lines", min=0, metavar="N", help="First lines to show.")] = 5,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every shard with its digest.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show what is in a corpus: lines, languages, licences, where from, faults, and how it was made."""
    console = context_of(typer_context).console(json=json)
    show_corpus(CorpusArtifact.open(corpus, verify=verify), console, num_lines=lines)


@app.command("import", cls=Command)
def import_(
    typer_context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="A .tsv, .jsonl, .tmx or file of lines; two files of lines; or NAME for NAME.en.gz and NAME.da.gz.",
        ),
    ],
    out: Out,
    languages: Annotated[
        str, typer.Option(metavar="SRC-TGT", help="Languages, such as en-da; one for monolingual text.")
    ],
    form: Annotated[
        str | None,
        typer.Option("--from", metavar="FORM", help="What the file is: text, tsv, jsonl or tmx; default: by name."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…", help="Columns of a .tsv; default: source,target,provenance,licence; - is not read."
        ),
    ] = None,
    provenance: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where lines are from that do not say it.")
    ] = None,
    licence: Annotated[str | None, typer.Option(metavar="NAME", help="Licence of lines that state none.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count and leave out rows that cannot be read; default: refuse.")
    ] = False,
    shard_lines: ShardLines = None,
    compression: CompressionOption = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a corpus of files."""
    from lingolite_cli.corpora.reading import recognized
    from lingolite_cli.corpora.writing import CorpusLayout
    from lingolite_cli.jobs.corpus import CorpusImport, import_corpus
    from lingolite_cli.views.corpus import show_made_corpus

    console = context_of(typer_context).console(json=json)
    tags = corpus_languages(languages)
    named = None if columns is None else tuple(columns.split(","))
    request = CorpusImport(
        files=recognized(files, form=form, languages=tags, columns=named),
        out=out,
        layout=CorpusLayout(
            languages=tags, shard_lines=parse_shard_lines(shard_lines), compression=parse_compression(compression)
        ),
        provenance=provenance,
        licence=licence,
        is_skipping=skip_bad,
        overwrite=overwrite,
    )
    show_made_corpus(import_corpus(request, console), out, console)


def corpus_languages(text: str) -> tuple[str, ...]:
    """`en-da` as two tags, `en` as one; `pt-BR:` is one that has a hyphen.

    Raises:
        LingoLiteError: it is neither.
    """
    if text.endswith(":") and text.count(":") == 1:
        text = text[:-1]
        if text:
            return (text,)
    if text and "-" not in text and ":" not in text:
        return (text,)
    pair = parse_languages(text)
    if pair is None:
        raise LingoLiteError("--languages: expected one language or two", hint="for example en-da, or en")
    return pair
