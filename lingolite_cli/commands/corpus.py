"""`lingolite corpus`: corpora made of files, shown, filtered, split, sampled and written as files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.bulk.filters import FILTERS
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
from lingolite_cli.corpora.selection import REST
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.schema import parse_options
from lingolite_cli.views.corpus import show_corpus, show_filtered_corpus, show_made_corpus, show_split_corpus

app = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Make, show, filter and sample corpora of text."
)

Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Of the choice.")]
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
            metavar="FILE",
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
    from lingolite_cli.corpora.reading import named_form, recognized
    from lingolite_cli.corpora.writing import CorpusLayout
    from lingolite_cli.jobs.corpus import CorpusImport, import_corpus

    console = context_of(typer_context).console(json=json)
    tags = corpus_languages(languages)
    named = None if columns is None else tuple(columns.split(","))
    request = CorpusImport(
        files=recognized(files, form=named_form(form, flag="--from"), languages=tags, columns=named),
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


@app.command("export", cls=Command)
def export(
    typer_context: typer.Context,
    corpus: CorpusPath,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="One file; or two of lines, of sources and of targets.")
    ],
    form: Annotated[
        str | None,
        typer.Option("--to", metavar="FORM", help="What to write: text, tsv, jsonl or tmx; default: by name."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write a corpus as files that other programs read; gzip where a name ends in .gz, zstd where in .zst."""
    from lingolite_cli.corpora.reading import named_form
    from lingolite_cli.jobs.corpus import export_files

    console = context_of(typer_context).console()
    export_files(corpus, files, form=named_form(form, flag="--to"), overwrite=overwrite)
    for file in files:
        console.print(f"wrote {file}")


@app.command("filter", cls=Command)
def filter_(
    typer_context: typer.Context,
    corpus: CorpusPath,
    out: Out,
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="NAME,…", help=f"Of {', '.join(FILTERS)}; default: all but score, language."),
    ] = None,
    rejected: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep what is left out in a corpus here, with the reasons.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Of a filter, such as max_ratio=2.5; repeatable."),
    ] = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Write the lines of a corpus that no filter leaves out, and tell how many were left out for which reason."""
    from lingolite_cli.jobs.corpus import CorpusFilter, filter_to

    console = context_of(typer_context).console(json=json)
    names = [name.strip() for text in filters or () for name in text.split(",") if name.strip()]
    request = CorpusFilter(
        corpus=corpus,
        out=out,
        rejected=rejected,
        filters=tuple(dict.fromkeys(names)),
        options=parse_options(option),
        overwrite=overwrite,
    )
    show_filtered_corpus(filter_to(request, console), out, console)


@app.command(cls=Command)
def sample(
    typer_context: typer.Context,
    corpus: CorpusPath,
    out: Out,
    lines: Annotated[int, typer.Option("--lines", min=1, metavar="N", help="Of the sample.")],
    seed: Seed = 17,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Write a random sample of a corpus, in its order; the same seed gives the same sample."""
    from lingolite_cli.jobs.corpus import sample_corpus

    console = context_of(typer_context).console(json=json)
    made = sample_corpus(corpus, out, num_lines=lines, seed=seed, overwrite=overwrite, console=console)
    show_made_corpus(made, out, console)


@app.command(cls=Command)
def split(
    typer_context: typer.Context,
    corpus: CorpusPath,
    out: Out,
    part: Annotated[
        list[str],
        typer.Option("--part", metavar="NAME=N", help="A part of N different sources, such as dev=1000; repeatable."),
    ],
    seed: Seed = 17,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Split a corpus into parts and `train`, the rest; lines with equal sources stay together."""
    from lingolite_cli.jobs.corpus import split_corpus

    console = context_of(typer_context).console(json=json)
    made = split_corpus(corpus, out, sizes=parse_parts(part), seed=seed, overwrite=overwrite, console=console)
    show_split_corpus(made, out, console)


def parse_parts(texts: Sequence[str]) -> dict[str, int]:
    """`dev=1000` and the like as sizes by name.

    Raises:
        LingoLiteError: one is not a name and a number, or comes twice.
    """
    found: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,50}", name) or not number.isdecimal() or not int(number):
            raise LingoLiteError(f"--part {text}: expected NAME=N", hint="for example --part dev=1000")
        if name in found or name == REST:
            why = "is what all other lines go to" if name == REST else "was given before"
            raise LingoLiteError(f"--part {text}: `{name}` {why}", hint="choose another name")
        found[name] = int(number)
    return found


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
