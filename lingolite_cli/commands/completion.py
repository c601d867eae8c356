"""What a shell is told may follow: names of plugins, recipes, runs and guides.

Owns where these names come from. A mistake in a project must not end in a traceback at the prompt, so that where
something cannot be read, nothing is completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps

from lingolite_cli.errors import LingoLiteError


def _silent(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    @wraps(names)
    def matching(incomplete: str) -> list[str]:
        try:
            return [name for name in names() if name.startswith(incomplete)]
        except (LingoLiteError, OSError):
            return []

    del matching.__wrapped__  # Typer reads the parameters of what it calls
    return matching


def _plugins(kind: str) -> list[str]:
    from lingolite_cli.plugins.registry import load_registry
    from lingolite_cli.settings import find_project

    return load_registry(blocked=find_project().settings.plugins.blocked).names(kind)


@_silent
def backend_names() -> list[str]:
    """Backends that can be used."""
    return _plugins("backend")


@_silent
def exporter_names() -> list[str]:
    """Exporters that can be used."""
    return _plugins("exporter")


@_silent
def platform_names() -> list[str]:
    """Processors that goldens are replayed on."""
    from lingolite_cli.emulation.platforms import PLATFORMS

    return list(PLATFORMS)


@_silent
def method_names() -> list[str]:
    """Quantizers that can be used, and `compare`, which tries them all."""
    return [*_plugins("quantizer"), "compare"]


@_silent
def executor_names() -> list[str]:
    """Executors that can be used."""
    return _plugins("executor")


@_silent
def metric_names() -> list[str]:
    """Metrics that can be used."""
    return _plugins("metric")


@_silent
def plugin_names() -> list[str]:
    """All plugins, also those that cannot be used."""
    from lingolite_cli.plugins.registry import load_registry

    return sorted({entry.name for entry in load_registry().entries})


@_silent
def recipe_names() -> list[str]:
    """Recipes of the project, by their names, and by their paths where a path is begun."""
    from lingolite_cli.settings import find_project

    found = sorted((find_project().root / "recipes").glob("*.toml"))
    names = [path.name.removesuffix(".toml") for path in found if not path.name.endswith(".lock.toml")]
    return [*names, *(f"recipes/{name}.toml" for name in names)]


@_silent
def run_ids() -> list[str]:
    """Runs of the project, the last first."""
    from lingolite_cli.settings import find_project

    runs = [path for path in find_project().runs_directory.glob("*/*") if path.is_dir() and path.name[0] != "."]
    return sorted((path.name for path in runs if not path.is_symlink()), reverse=True)


@_silent
def guide_names() -> list[str]:
    """Guides of this installation."""
    from lingolite_cli.files.guides import guides

    return [guide.name for guide in guides()]
