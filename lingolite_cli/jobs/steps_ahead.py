"""Steps that an executor does ahead of a run: who does them, as a command says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.recipe.scope import Plan

if TYPE_CHECKING:
    from lingolite_cli.plugins.executors import Executor, Work


LOCAL = "local"
"""The executor that needs nothing but this machine."""


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """Who does steps ahead of a run.

    Attributes:
        executor: its name.
        options: its options.
        num_workers: how many.
    """

    executor: str = LOCAL
    options: Mapping[str, Any] = {}
    num_workers: int = 1


def do_ahead(context: JobContext, plans: Sequence[Plan], ahead: Ahead, console: Console) -> None:
    """Let an executor do the steps of runs that do not time anything, into the project's cache.

    Raises:
        LingoLiteError: the executor cannot be used, or workers do not see the project.
    """
    from lingolite_cli.execution.filling import fill

    executor = context.registry.resolve("executor", ahead.executor)
    executor.options(ahead.options)

    def start(work: Work) -> Executor:
        made: Executor = executor.create(work, options=ahead.options, num_workers=ahead.num_workers)
        return made

    fill(plans, context.cache, start=start, root=context.project.root, console=console)
