"""The executor `local`: processes on this machine. Registered as any plugin is; see `processes` for what it does."""

from __future__ import annotations

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ExecutorSpec


@hookimpl
def lingolite_executors() -> list[ExecutorSpec]:
    """The one executor that needs nothing but this machine."""
    return [
        ExecutorSpec(
            name="local",
            summary="Processes on this machine, each with an engine of its own.",
            factory="lingolite_cli.execution.processes:LocalExecutor",
        )
    ]
