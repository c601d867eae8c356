"""From Typer's context to the project's: what the options before the command made, handed to a command.

Owns the one place where the command line and `lingolite_cli.jobs` meet.
"""

from __future__ import annotations

import typer

from lingolite_cli.jobs.context import JobContext


def context_of(context: typer.Context) -> JobContext:
    """What `app.root` put into Typer's context."""
    found = context.obj
    assert isinstance(found, JobContext)
    return found


def is_given(context: typer.Context, name: str) -> bool:
    """Whether the parameter `name` stood on the command line, rather than having its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
