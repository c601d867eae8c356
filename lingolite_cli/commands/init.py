"""`lingolite init`: a project with a lingolite.toml and a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import Languages, parse_languages
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.new_project import RECIPE, STARTER_BLEU, make_project, own_project, starter_project


def init(
    typer_context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The project's directory.")] = Path("."),
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The bundle; default: model in the project's directory.")
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The test set, a TSV file of source and reference; default: test.tsv in the project's directory.",
        ),
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text for calibration and searches, as --test; default: dev.tsv there, if there is one.",
        ),
    ] = None,
    languages: Languages = None,
    starter: Annotated[
        bool, typer.Option("--starter", help="Copy the English-Danish starter model into the project, to try it.")
    ] = False,
) -> None:
    """Write lingolite.toml and recipes/mobile.toml for a model. Nothing is overwritten."""
    console = context_of(typer_context).console()
    pair = parse_languages(languages)
    if starter and (model, test, dev, pair) != (None, None, None, None):
        raise LingoLiteError(
            "--starter brings its own model, texts and languages", hint="leave out --model, --test, --dev, --languages"
        )
    project = (
        starter_project(directory)
        if starter
        else own_project(directory, model=model, test=test, dev=dev, languages=pair)
    )
    for path in make_project(project):
        console.print(f"wrote {path}")
    if project.bleu_min != STARTER_BLEU:
        console.note(f"bleu_min is {project.bleu_min}, which broken models miss; raise it to what you require")
    inside = "" if directory.resolve() == Path.cwd() else f"cd {directory} && "
    console.note(f"next: {inside}lingolite run {RECIPE}")
