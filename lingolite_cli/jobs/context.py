"""What every job starts from: the project, its plugins, its cache and its history, each found on first use.

Owns how they are found. What is asked for before the command (`--quiet`, `--no-plugin`) comes in as plain values; the
command line reads it, and this module knows no command line.
"""

from __future__ import annotations

import os
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.plugins.registry import Health, Registry, load_registry
from lingolite_cli.settings import Project, find_project

if TYPE_CHECKING:
    from lingolite_cli.history.store import HistoryStore
    from lingolite_cli.recipe.cache import StepCache


class JobContext:
    """The context of one command, or of one call of the Python API.

    Args:
        is_verbose: show tracebacks.
        is_quiet: no progress and no remarks.
        no_plugin: names of plugins or distributions that are not loaded.
        cache: where finished steps are kept; None leaves it to the project.
    """

    def __init__(
        self,
        *,
        is_verbose: bool = False,
        is_quiet: bool = False,
        no_plugin: tuple[str, ...] = (),
        cache: Path | None = None,
    ) -> None:
        self._cache = cache
        self.is_verbose = is_verbose
        self.is_quiet = is_quiet
        self._no_plugin = no_plugin

    def with_option(self, name: str, value: Any) -> JobContext:
        """The context with one more option: `verbose`, `quiet`, `no_plugin` or `cache`, as `lingolite` calls them."""
        return JobContext(
            is_verbose=self.is_verbose or name == "verbose",
            is_quiet=self.is_quiet or name == "quiet",
            no_plugin=(*self._no_plugin, *(value if name == "no_plugin" else ())),
            cache=value if name == "cache" else self._cache,
        )

    @cached_property
    def project(self) -> Project:
        """The project around the working directory, or that of the recipe."""
        return msgspec.structs.replace(find_project(), asked_cache=self._cache)

    def for_recipe(self, path: Path) -> JobContext:
        """The context of the project that a recipe file lies in; this one for a recipe that lies in none."""
        found = find_project(path.absolute().parent)
        if found.settings_path is None:
            return self
        context = copy(self)
        context.__dict__.pop("registry", None)  # its project decides which plugins are loaded
        context.__dict__["project"] = msgspec.structs.replace(found, asked_cache=self._cache)
        return context

    @cached_property
    def registry(self) -> Registry:
        """All plugins. A warning tells of each that is broken, once."""
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
    def has_cache(self) -> bool:
        """Whether finished work is kept: in a project, or where the user says; elsewhere nobody expects files."""
        asked = self._cache is not None or "LINGOLITE_CACHE" in os.environ
        return asked or self.project.settings_path is not None

    def evaluate_default(self, key: str) -> Any:
        """What the project has for this key of each `evaluate` step, as it stands in lingolite.toml; None if nothing.

        For choices that are made before there is a step. A step takes the defaults by itself.
        """
        return self.project.settings.defaults.get("evaluate", {}).get(key)

    @property
    def cache(self) -> StepCache:
        """The project's cache of finished steps."""
        from lingolite_cli.recipe.cache import StepCache  # the results of all kinds of step

        return StepCache(self.project.cache_directory)

    def history(self, console: Console) -> HistoryStore:
        """The project's history; warnings about a damaged file go to `console`."""
        from lingolite_cli.history.store import HistoryStore  # sqlite3, which `--help` need not pay for

        return HistoryStore(self.project.history_path, warn=console.warn)

    def console(self, *, json: bool = False) -> Console:
        """Where the job prints."""
        return Console(json=json, quiet=self.is_quiet)
