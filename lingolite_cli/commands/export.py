"""`lingolite export`: an artifact in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Model, Options, Out, Overwrite
from lingolite_cli.jobs import adhoc
from lingolite_cli.schema import parse_options
from lingolite_cli.views.runs import show_conversion


def export(
    typer_context: typer.Context,
    out: Out,
    model: Model = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="The exporter.")] = "onnx",
    opset_version: Annotated[int | None, typer.Option(metavar="N", help="ONNX opset.")] = None,
    max_seq_len: Annotated[
        int | None, typer.Option(metavar="N", help="Positions that the exported graphs have.")
    ] = None,
    test: Annotated[bool | None, typer.Option("--test/--no-test", help="Compare with a reference.")] = None,
    optimize: Annotated[
        str | None, typer.Option(metavar="NAME", help="Offline graph optimizer to write fused graphs with.")
    ] = None,
    shortlist: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A vocabulary shortlist to put in, made by `lingolite shortlist`."),
    ] = None,
    option: Options = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Turn a bundle, float or quantized, into another format."""
    context = context_of(typer_context)
    console = context.console(json=json)
    options = adhoc.plugin_options(
        context.registry,
        kind="exporter",
        name=format,
        flags={"opset_version": opset_version, "max_seq_len": max_seq_len, "test": test, "optimize": optimize},
        pairs=parse_options(option),
    )
    inputs = {"model": adhoc.model_input(adhoc.model_path(context, model))}
    step: dict[str, Any] = {"id": "export", "uses": "export", "format": format, "options": options}
    if shortlist is not None:
        inputs["shortlist"] = {"shortlist": str(shortlist.resolve())}
        step["shortlist"] = "inputs.shortlist"
    job = adhoc.Job(command="export", inputs=inputs, steps=[step])
    record = adhoc.convert_and_publish(context, job, console, out=out, overwrite=overwrite)
    show_conversion(record.result, out, console)
