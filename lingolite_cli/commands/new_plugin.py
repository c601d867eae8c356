"""`lingolite plugins new`: a small package with a plugin that works, to be changed into one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.jobs.plugin_package import PluginKind, write_plugin_package


def new_plugin(
    typer_context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name used in commands, such as `--metrics NAME`.")],
    kind: Annotated[
        PluginKind,
        typer.Option(
            metavar="KIND", help="One of metric, backend, quantizer, exporter, importer, reporter, executor and server."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The directory to make; default: lingolite-NAME.")
    ] = None,
) -> None:
    """Write a package with a plugin that works, and a test that holds it to its contract."""
    context = context_of(typer_context)
    console = context.console()
    written = write_plugin_package(context, name, kind, out=out)
    for path in written:
        console.print(f"wrote {path}")
    target = out or Path(f"lingolite-{name}")
    console.note(f'next: `cd {target}`, `pip install -e ".[test]"`, `lingolite plugins check {name}`, `pytest`')
