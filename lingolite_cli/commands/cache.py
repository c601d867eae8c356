"""`lingolite cache`: what the cache of finished steps has, and clearing it."""

from __future__ import annotations

from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.usage import Command, Group
from lingolite_cli.recipe.cache_upkeep import contents_of, prune
from lingolite_cli.views.cache import show_contents, show_pruned

app = typer.Typer(
    cls=Group, help="Show and clear the cache of finished steps.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("show", cls=Command)
def show_cache(typer_context: typer.Context, json: JsonFlag = False) -> None:
    """Show how many finished steps there are and how large they are.

    Tells also what `prune` would remove.
    """
    context = context_of(typer_context)
    show_contents(contents_of(context.cache), context.console(json=json))


@app.command("prune", cls=Command)
def prune_cache(
    typer_context: typer.Context,
    older_than: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=100_000,
            metavar="DAYS",
            help="Also finished steps and tokenized texts that were made so long ago.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="All finished steps and tokenized texts, and the state of unfinished trainings and searches."
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Remove what this version cannot use.

    That is steps of other versions, damaged ones, and what killed processes left.
    """
    context = context_of(typer_context)
    removed = prune(context.cache, older_than_days=older_than, everything=everything)
    show_pruned(removed, context.console(json=json))
