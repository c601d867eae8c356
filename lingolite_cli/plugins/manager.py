"""Finding plugins, one by one, so that a broken one is reported and breaks nothing.

Owns loading of entry points, the collection of descriptors and the call of observers. pluggy's own loader and a
plain hook call both stop at the first exception; here each plugin and each hook implementation is called alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import msgspec
import pluggy

from lingolite_cli.plugins import hookspecs
from lingolite_cli.plugins.guard import describe
from lingolite_cli.plugins.specs import (
    BackendSpec,
    ExecutorSpec,
    ExporterSpec,
    ImporterSpec,
    MetricSpec,
    QuantizerSpec,
    ReporterSpec,
    ServerSpec,
    Spec,
)
from lingolite_cli.process.interruption import is_requested

GROUP = "lingolite"
BLOCK_VARIABLE = "LINGOLITE_BLOCK"

KINDS: dict[str, tuple[str, type]] = {
    "backend": ("lingolite_backends", BackendSpec),
    "quantizer": ("lingolite_quantizers", QuantizerSpec),
    "exporter": ("lingolite_exporters", ExporterSpec),
    "importer": ("lingolite_importers", ImporterSpec),
    "metric": ("lingolite_metrics", MetricSpec),
    "reporter": ("lingolite_reporters", ReporterSpec),
    "executor": ("lingolite_executors", ExecutorSpec),
    "server": ("lingolite_servers", ServerSpec),
}
"""Kind of plugin: the hook that offers it, and the type of its descriptor."""


class Origin(msgspec.Struct, frozen=True):
    """Where a plugin came from: its entry point and distribution."""

    entry_point: str
    distribution: str
    version: str
    module: str


class LoadedModule(msgspec.Struct, frozen=True):
    """One entry point after loading: its descriptors, or why there are none."""

    origin: Origin
    specs: tuple[tuple[str, Spec], ...] = ()
    is_blocked: bool = False
    error: BaseException | None = None


class PluginHost:
    """All entry points of the group, loaded.

    Args:
        blocked: names of entry points or distributions that are not imported at all.
        warn: told of an observer that failed.
    """

    def __init__(self, *, blocked: Iterable[str] = (), warn: Callable[[str], None] = lambda text: None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._warn = warn
        self.blocked = {*blocked, *blocked_by_environment()}
        found = sorted(
            _origins(entry_points(group=GROUP)), key=lambda pair: (pair[0].distribution, pair[0].entry_point)
        )
        self.modules = [self._load(point, origin) for origin, point in found]

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call the observers of `hook`, each alone; a failure in one is a warning."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except BaseException as error:  # an observer that calls `sys.exit` does not end the run
                if isinstance(error, KeyboardInterrupt) and is_requested():
                    raise
                self._warn(f"{hook} of plugin {implementation.plugin_name} failed: {describe(error)}")

    def _load(self, point: EntryPoint, origin: Origin) -> LoadedModule:
        if {origin.entry_point, origin.distribution} & self.blocked:
            return LoadedModule(origin, is_blocked=True)
        registered = f"{origin.distribution}:{origin.entry_point}"
        try:
            plugin = point.load()
            self._manager.register(plugin, name=registered)
            return LoadedModule(origin, tuple(self._collect(plugin)))
        except BaseException as error:  # a plugin may raise SystemExit at import; that too is its own affair
            if isinstance(error, KeyboardInterrupt) and is_requested():
                raise
            if self._manager.has_plugin(registered):
                self._manager.unregister(name=registered)
            return LoadedModule(origin, error=error)

    def _collect(self, plugin: object) -> Iterable[tuple[str, Spec]]:
        self._refuse_unknown_hooks(plugin)
        for kind, (hook, spec_type) in KINDS.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                for spec in implementation.function():
                    if not isinstance(spec, spec_type):
                        raise TypeError(f"{hook} must yield {spec_type.__name__}, not {type(spec).__name__}")
                    yield kind, cast("Spec", spec)

    def _refuse_unknown_hooks(self, plugin: object) -> None:
        known = {name for name in dir(hookspecs) if name.startswith("lingolite_")}
        for caller in self._manager.get_hookcallers(plugin) or ():
            if caller.name not in known:
                raise TypeError(f"there is no hook called {caller.name}; hooks: {', '.join(sorted(known))}")


def blocked_by_environment() -> set[str]:
    """Names in LINGOLITE_BLOCK, separated by commas."""
    return {name.strip() for name in os.environ.get(BLOCK_VARIABLE, "").split(",") if name.strip()}


def _origins(points: Iterable[EntryPoint]) -> Iterable[tuple[Origin, EntryPoint]]:
    # Each time that a distribution is asked for its name or version, it parses its whole metadata, README included.
    named: dict[object, tuple[str, str]] = {None: ("unknown", "unknown")}
    for point in points:
        if point.dist is not None and point.dist not in named:
            named[point.dist] = point.dist.name, point.dist.version
        distribution, version = named[point.dist]
        yield Origin(entry_point=point.name, distribution=distribution, version=version, module=point.value), point
