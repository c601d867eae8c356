"""`lingolite import`: a bundle from a model of another format, or from a LingoLite checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.commands.aliases import takes_aliases
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Options, Out, Overwrite
from lingolite_cli.jobs.importing import ImportRequest, find_importer, import_and_sample
from lingolite_cli.jobs.plugin_options import plugin_options
from lingolite_cli.schema import parse_options
from lingolite_cli.views.bundle import show_bundle


@takes_aliases("importer")
def import_bundle(
    typer_context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="The model: a checkpoint, or what an importer reads."),
    ],
    out: Out,
    importer: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="The importer; default: the one that recognizes PATH.")
    ] = None,
    option: Options = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
    *,
    aliased: Mapping[str, Any],
) -> None:
    """Make a bundle from a LingoLite checkpoint, or a model of another format. No code in it is ever run."""
    context = context_of(typer_context)
    console = context.console(json=json)
    pairs = parse_options(option)
    name = importer or find_importer(context.registry, path, hinted=frozenset({*aliased, *pairs}))
    options = plugin_options(context.registry, kind="importer", name=name, aliased=aliased, pairs=pairs)
    request = ImportRequest(path=path, out=out, importer=name, options=options, overwrite=overwrite)
    show_bundle(import_and_sample(context, request), out, console)
