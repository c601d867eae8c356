"""`lingolite docs`: the guides that come with this installation."""

from __future__ import annotations

from typing import Annotated

import typer

from lingolite_cli.commands.completion import guide_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.files.guides import find_guide, guides


def docs(
    typer_context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The guide; default: a list of them.", autocompletion=guide_names),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """The guides: which there are, or the text of one in Markdown."""
    console = context_of(typer_context).console(json=json)
    if name is None:
        found = guides()
        console.print_json(found)
        console.table(["guide", "about", "file"], [[guide.name, guide.title, guide.path] for guide in found])
        return
    guide = find_guide(name)
    console.print_json({"name": guide.name, "title": guide.title, "path": guide.path, "text": guide.text})
    console.print(guide.text.rstrip("\n"))
