"""`lingolite import`: a bundle from a checkpoint."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Out, Overwrite
from lingolite_cli.jobs.checkpoint_import import ImportRequest, import_and_sample
from lingolite_cli.views.bundle import show_bundle


class TrainedOn(str, Enum):
    """Values of --trained-on."""

    SENTENCES = "sentences"
    DOCUMENTS = "documents"


def import_bundle(
    typer_context: typer.Context,
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="The checkpoint, a .pt file.")],
    tokenizer: Annotated[
        Path, typer.Option(metavar="PATH", help="The SentencePiece model, or a directory that holds one.")
    ],
    out: Out,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="tiny, small, medium or large, for a missing config.")
    ] = None,
    n_heads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Attention heads, for a missing config.")
    ] = None,
    n_kv_heads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Key/value heads; default: from the shapes.")
    ] = None,
    max_seq_len: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Positions; default: those of the config or the preset, or 512."),
    ] = None,
    trained_on: Annotated[
        TrainedOn, typer.Option(help="What the model was trained on; `translate` splits texts for one of sentences.")
    ] = TrainedOn.SENTENCES,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a bundle from a LingoLite checkpoint. No code in the checkpoint is ever run."""
    context = context_of(typer_context)
    console = context.console(json=json)
    request = ImportRequest(
        checkpoint=checkpoint,
        tokenizer=tokenizer,
        out=out,
        preset=preset,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        max_seq_len=max_seq_len,
        trained_on=trained_on.value,
        overwrite=overwrite,
    )
    show_bundle(import_and_sample(context, request), out, console)
