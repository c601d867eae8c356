"""What all commands share: the options before the command, the project, and the plugins, each found on first use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import typer

from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.history.store import HistoryStore
from lingolite_cli.plugins.registry import Health, Registry, load_registry
from lingolite_cli.recipe.cache import StepCache
from lingolite_cli.settings import Project, find_project


class State:
    """The context of one invocation.

    Args:
        is_verbose: show tracebacks.
        is_quiet: no progress and no remarks.
        no_plugin: names that `--no-plugin` blocked.
    """

    def __init__(self, *, is_verbose: bool, is_quiet: bool, no_plugin: tuple[str, ...]) -> None:
        self.is_verbose = is_verbose
        self.is_quiet = is_quiet
        self._no_plugin = no_plugin

    @cached_property
    def project(self) -> Project:
        """The project around the working directory."""
        return find_project()

    @cached_property
    def registry(self) -> Registry:
        """All plugins; broken ones are remarked on once."""
        blocked = (*self.project.settings.plugins.blocked, *self._no_plugin)
        console = Console(quiet=self.is_quiet)
        registry = load_registry(blocked=blocked, warn=console.warn)
        for entry in registry.entries:
            if entry.health in (Health.BROKEN, Health.DUPLICATE):
                console.warn(
                    f"{entry.kind} `{entry.name}` of {entry.origin.distribution}: {entry.health.value}: {entry.reason}"
                )
        return registry

    @property
    def cache(self) -> StepCache:
        """The project's cache of finished steps."""
        return StepCache(self.project.cache_directory)

    def history(self, console: Console) -> HistoryStore:
        """The project's history; remarks on a damaged file go to `console`."""
        return HistoryStore(self.project.history_path, warn=console.warn)

    def console(self, *, json: bool = False) -> Console:
        """Where the command prints."""
        return Console(json=json, quiet=self.is_quiet)


def state_of(context: typer.Context) -> State:
    """The state that the root callback made."""
    state = context.obj
    assert isinstance(state, State)
    return state


_EXAMPLES = {"--budget": "bleu_drop_max=0.5", "--set": "baseline.batch_size=8"}


def parse_pairs(pairs: Sequence[str] | None, *, flag: str) -> dict[str, str]:
    """`KEY=VALUE` arguments of a repeatable flag.

    Raises:
        LingoLiteError: one has no `=`.
    """
    found = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise LingoLiteError(
                f"{flag} {pair}: expected KEY=VALUE", hint=f"for example `{flag} {_EXAMPLES.get(flag, 'seed=3')}`"
            )
        found[key] = value
    return found
