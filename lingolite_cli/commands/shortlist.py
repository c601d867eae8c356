"""`lingolite shortlist`: the target tokens that a source can need, from parallel text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Languages, Model, Overwrite, Tokenizer, parse_languages
from lingolite_cli.jobs.inputs import model_path
from lingolite_cli.jobs.shortlist import ShortlistRequest, make_shortlist
from lingolite_cli.views.shortlist import show_shortlist


def shortlist(
    typer_context: typer.Context,
    text: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Parallel text to learn from, a .tsv, plain or .gz; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to make.")],
    model: Model = None,
    tokenizer: Tokenizer = None,
    languages: Languages = None,
    dev: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .tsv to measure coverage on; default: the project's dev set."),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most target tokens that a source token brings.")
    ] = 50,
    frequent: Annotated[
        int, typer.Option(min=0, metavar="N", help="Frequent target tokens that every sentence has.")
    ] = 300,
    iterations: Annotated[int, typer.Option(min=1, metavar="N", help="Of expectation maximization.")] = 3,
    max_pairs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pairs to learn from, spread over the text.")
    ] = 200_000,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a vocabulary shortlist for faster decoding: `lingolite export --shortlist` puts it into an artifact."""
    context = context_of(typer_context)
    console = context.console(json=json)
    request = ShortlistRequest(
        model=model_path(context, model, tokenizer=tokenizer),
        texts=tuple(text),
        out=out,
        languages=parse_languages(languages),
        dev=dev,
        num_candidates=candidates,
        num_frequent=frequent,
        iterations=iterations,
        max_pairs=max_pairs,
        overwrite=overwrite,
    )
    learned = make_shortlist(context, request, console)
    show_shortlist(learned, out, num_candidates=candidates, console=console)
