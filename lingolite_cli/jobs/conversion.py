"""`lingolite export` and `export_full_model`: an artifact in another format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import Input, model_input
from lingolite_cli.jobs.job import Job, JobBuilder
from lingolite_cli.recipe.model import ShortlistInput
from lingolite_cli.recipe.steps.export import ExportStep


def export_job(
    context: JobContext,
    model: Path,
    *,
    command: str,
    format: str,
    options: Mapping[str, Any],
    shortlist: Path | None = None,
) -> Job:
    """The artifact at `model` through an exporter.

    Args:
        context: the project.
        model: the artifact.
        command: the command or function, for messages.
        format: name of the exporter.
        options: the exporter's.
        shortlist: a vocabulary shortlist that goes with the artifact.

    Raises:
        LingoLiteError: an option has the wrong type.
    """
    builder = JobBuilder(context, command)
    inputs: dict[str, Input] = {"model": model_input(model)}
    if shortlist is not None:
        inputs["shortlist"] = ShortlistInput(shortlist=str(shortlist.resolve()))
    reference = None if shortlist is None else "inputs.shortlist"
    step = builder.step(ExportStep, "export", format=format, options=dict(options), shortlist=reference)
    return builder.job(inputs, [step])
