"""`lingolite quantize`: a smaller artifact from a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from lingolite_cli.commands import adhoc
from lingolite_cli.commands.options import JsonFlag, Model, Options, Out, Overwrite, parse_options
from lingolite_cli.commands.show import show_conversion
from lingolite_cli.commands.state import state_of


def quantize(
    context: typer.Context,
    out: Out,
    model: Model = None,
    method: Annotated[str, typer.Option(help="The quantizer.")] = "dynamic-int8",
    option: Options = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a bundle smaller."""
    state = state_of(context)
    console = state.console(json=json)
    job = adhoc.Job(
        command="quantize",
        inputs={"model": adhoc.model_input(adhoc.model_path(state, model))},
        steps=[{"id": "quantize", "uses": "quantize", "method": method, "options": parse_options(option)}],
    )
    record = adhoc.convert_and_publish(state, job, console, out=out, overwrite=overwrite)
    show_conversion(record.result, out, console)
