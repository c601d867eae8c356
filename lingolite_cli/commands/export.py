"""`lingolite export`: an artifact in another format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.commands.aliases import takes_aliases
from lingolite_cli.commands.completion import exporter_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Model, Options, Out, Overwrite, Tokenizer
from lingolite_cli.jobs.conversion import export_job
from lingolite_cli.jobs.inputs import model_path
from lingolite_cli.jobs.job import convert_and_publish
from lingolite_cli.jobs.plugin_options import plugin_options
from lingolite_cli.schema import parse_options
from lingolite_cli.views.conversion import show_conversion


@takes_aliases("exporter")
def export(
    typer_context: typer.Context,
    out: Out,
    model: Model = None,
    tokenizer: Tokenizer = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="The exporter.", autocompletion=exporter_names)] = "onnx",
    shortlist: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A vocabulary shortlist to put in, made by `lingolite shortlist`."),
    ] = None,
    option: Options = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
    *,
    aliased: Mapping[str, Any],
) -> None:
    """Turn a bundle, float or quantized, into another format."""
    context = context_of(typer_context)
    console = context.console(json=json)
    options = plugin_options(
        context.registry,
        kind="exporter",
        name=format,
        aliased=aliased,
        pairs=parse_options(option),
    )
    path = model_path(context, model, tokenizer=tokenizer)
    job = export_job(context, path, command="export", format=format, options=options, shortlist=shortlist)
    record = convert_and_publish(context, job, console, out=out, overwrite=overwrite)
    show_conversion(record.result, out, console)
