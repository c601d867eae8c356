"""`lingolite quantize`: a smaller artifact by one method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingolite_cli.console import Console
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import model_input
from lingolite_cli.jobs.job import Job, JobBuilder
from lingolite_cli.jobs.quantizer_texts import NamedTexts, find_texts, needs_of, refuse_needless


def quantization_job(
    context: JobContext, model: Path, console: Console, *, method: str, named: NamedTexts, options: Mapping[str, Any]
) -> Job:
    """The artifact at `model` through a quantizer.

    Args:
        context: the project.
        model: the artifact.
        console: told of the text that is calibrated or trained on.
        method: name of the quantizer.
        named: text for it.
        options: the quantizer's.

    Raises:
        LingoLiteError: there is no such method, it lacks text, or text is named that it does not read.
    """
    builder = JobBuilder(context, "quantize")
    needs = needs_of(context, method)
    refuse_needless(named, needs, method=method)
    texts = find_texts(context, named)
    step = texts.quantize_step(builder, "quantize", method, needs=needs, options=dict(options))
    texts.announce(needs, console)
    return builder.job({"model": model_input(model), **texts.inputs_for([step])}, [step])
