"""`lingolite init`: a project with a lingolite.toml and a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import Languages, parse_languages
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.templates import fill_template
from lingolite_cli.settings import SETTINGS_NAME


def init(
    typer_context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The project's directory.")] = Path("."),
    model: Annotated[str, typer.Option(metavar="DIR", help="The bundle, relative to the project.")] = "model",
    test: Annotated[
        str, typer.Option(metavar="FILE", help="The test set: a TSV file of source and reference.")
    ] = "test.tsv",
    languages: Languages = "en-da",
) -> None:
    """Write lingolite.toml and recipes/mobile.toml for a model of your own. Nothing is overwritten."""
    console = context_of(typer_context).console()
    pair = parse_languages(languages) or ("en", "da")
    values = {"model": model, "test": test, "source": pair[0], "target": pair[1]}
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items()}
    targets = {SETTINGS_NAME: "lingolite.toml", "recipes/mobile.toml": "mobile.toml"}
    for name in targets:
        if (directory / name).exists():
            raise LingoLiteError(f"{directory / name} exists", hint="nothing was written; choose another directory")
    for name, template in targets.items():
        write_atomic(directory / name, fill_template(template, quoted))
        console.print(f"wrote {directory / name}")
    console.note("next: put the bundle and the test set in place, then `lingolite run recipes/mobile.toml`")
