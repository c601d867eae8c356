"""What can be used by name: each plugin with its health, and the late import of its class.

Owns names, health and the creation of plugin objects with validated options.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from enum import Enum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.errors import ExitCode, LingoLiteError, did_you_mean, engine_failures, out_of_memory
from lingolite_cli.plugins.extras import install_hint
from lingolite_cli.plugins.guard import HOST, Guarded, describe, errors_of
from lingolite_cli.plugins.manager import KINDS, LoadedModule, Origin, PluginHost
from lingolite_cli.plugins.specs import API_VERSION, BackendSpec, Spec, defaults_for, files_of
from lingolite_cli.process.interruption import is_requested
from lingolite_cli.schema import convert
from lingolite_cli.text.languages import primary_language

if TYPE_CHECKING:
    from pathlib import Path

    from lingolite_cli.artifact import Artifact


PREFERRED_BACKENDS = ("cached", "onnx")
"""The backends that are chosen first where none is named; the others follow in the order of their entry points."""

SOONEST_BACKENDS = ("onnx",)
"""Of these, `translate` takes one after a conversion, too. Held to the tokens of PyTorch's backends on every format."""


class Health(str, Enum):
    """Whether a plugin can be used, and if not, why."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    BROKEN = "broken"
    INCOMPATIBLE = "incompatible"
    BLOCKED = "blocked"
    DUPLICATE = "duplicate"


class PluginEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin, healthy or not. `kind` is "plugin" and `spec` None where a module offers nothing by name."""

    kind: str
    name: str
    origin: Origin
    health: Health = Health.OK
    reason: str = ""
    spec: Spec | None = None
    error: BaseException | None = None


class Loaded:
    """A healthy plugin, ready to be made.

    Attributes:
        spec: its descriptor.
        origin: its entry point and distribution.
    """

    def __init__(self, kind: str, spec: Any, origin: Origin) -> None:
        self.kind = kind
        self.spec = spec
        self.origin = origin

    def options(self, values: Mapping[str, Any] | None = None, *, where: str | None = None) -> msgspec.Struct:
        """The plugin's options from plain values.

        Args:
            values: by the names of the options.
            where: what errors begin with, in place of the plugin.

        Raises:
            LingoLiteError: a key or value is not among them, or a file that they name cannot be read.
        """
        where = where or f"options of {self.kind} `{self.spec.name}`"
        with self._errors():
            options: msgspec.Struct = convert(dict(values or {}), self.spec.options, where=where)
            files = files_of(options)
        for path in files:
            if not path.is_file():
                raise LingoLiteError(f"{where}: no such file: {path}")
            if not os.access(path, os.R_OK):
                raise LingoLiteError(f"{where}: {path} cannot be read")
        return options

    def options_for(self, language: str | None, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Plain values of the plugin's options, with the defaults for text in `language` under `values`."""
        given = dict(values or {})
        if language is None:
            return given
        return {**defaults_for(self.spec.options, primary_language(language), given=given), **given}

    def create(self, *arguments: Any, options: Mapping[str, Any] | None = None, **keywords: Any) -> Any:
        """Import the plugin's class and make one, whose exceptions are errors that name the plugin.

        Args:
            arguments: what this kind's factory takes; see `lingolite_cli.plugins.interfaces`.
            options: plain values of the plugin's options.
            keywords: further keywords of this kind's factory.

        Raises:
            LingoLiteError: the options are wrong, or the class cannot be imported, or raises something.
        """
        with self._errors():
            made = self._make(*arguments, options=options, **keywords)
        return Guarded(made, self._who, is_host=self._is_host)

    def _make(self, *arguments: Any, options: Mapping[str, Any] | None, **keywords: Any) -> Any:
        validated = self.options(options)
        return self.load_factory()(*arguments, options=validated, **keywords)

    def call(self, name: str) -> Any:
        """Import the plugin's class, and call one of its static methods.

        Raises:
            LingoLiteError: as of `create`.
        """
        factory: Any = self.load_factory()
        with self._errors():
            return getattr(factory, name)()

    def open(self, artifact: Artifact, *, options: Mapping[str, Any] | None = None, threads: int) -> Any:
        """As `create`, for a backend: sure of the files that it read, and in words where it cannot open them.

        Args:
            artifact: what the backend runs.
            options: plain values of its options.
            threads: for the engine.

        Raises:
            LingoLiteError: the options are wrong, or the class cannot be imported, or the engine cannot open the
                artifact (exit code 4), or a file of it changes meanwhile.
        """

        def read() -> Any:
            with self._errors(), engine_failures(f"{self.kind} `{self.spec.name}` cannot open {artifact.path}"):
                made = self._make(artifact, options=options, threads=threads)
            return Guarded(made, self._who, is_host=self._is_host)

        return artifact.reading(read, undo=lambda backend: backend.close())

    def load_factory(self) -> Callable[..., Any]:
        """Import the plugin's class.

        Raises:
            LingoLiteError: it cannot be imported (exit code 4).
        """
        return self._import(self.spec.factory)

    def recognizes(self, path: Path) -> bool:
        """Whether an importer says that it reads `path`.

        Raises:
            LingoLiteError: its recognizer cannot be imported, or raises something (exit code 4).
        """
        recognize = self._import(self.spec.recognizer)
        with self._errors():
            return bool(recognize(path))

    def _import(self, place: str) -> Callable[..., Any]:
        module, _, attribute = place.partition(":")
        try:
            factory: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        except BaseException as error:  # whatever the module of a plugin does when it is imported
            if isinstance(error, KeyboardInterrupt) and is_requested():
                raise
            raise out_of_memory(error) or LingoLiteError(
                f"{self._who} cannot be loaded: {describe(error)}",
                hint=self.spec.install or f"see `lingolite -v plugins show {self.spec.name}`",
                exit_code=ExitCode.PLUGIN,
            ) from error
        return factory

    @property
    def _who(self) -> str:
        return f"{self.kind} `{self.spec.name}` of {self.origin.distribution} {self.origin.version}"

    @property
    def _is_host(self) -> bool:
        return self.origin.distribution == HOST

    def _errors(self) -> AbstractContextManager[None]:
        return errors_of(self._who, is_host=self._is_host)


class Registry:
    """All plugins by kind and name.

    Args:
        host: the loaded entry points.
    """

    def __init__(self, host: PluginHost) -> None:
        self.host = host
        self.entries = _mark_duplicates([entry for module in host.modules for entry in _entries(module)])

    def names(self, kind: str) -> list[str]:
        """Names of the healthy plugins of a kind."""
        return sorted(entry.name for entry in self.of_kind(kind) if entry.health is Health.OK)

    def of_kind(self, kind: str) -> list[PluginEntry]:
        """All entries of a kind, healthy or not."""
        return [entry for entry in self.entries if entry.kind == kind]

    def resolve(self, kind: str, name: str) -> Loaded:
        """The plugin of that kind and name.

        Raises:
            LingoLiteError: there is none (exit code 2), or it is not healthy (exit code 4).
        """
        found = [entry for entry in self.of_kind(kind) if entry.name == name]
        for entry in found:
            if entry.health is Health.OK:
                return Loaded(kind, entry.spec, entry.origin)
        if found:
            raise LingoLiteError(
                f"{kind} `{name}` cannot be used: {found[0].health.value}: {found[0].reason}",
                hint=_remedy(found[0]),
                exit_code=ExitCode.PLUGIN,
            )
        raise self.unknown(kind, name)

    def backends_for(self, format: str) -> list[str]:
        """The healthy backends that run artifacts of `format`, the preferred ones first.

        Those that only answer from a record are left out: they are asked by their names.
        """
        able = [entry for entry in self._backends_of(format) if entry.health is Health.OK]
        found = [entry.name for entry in able if entry.spec is not None and "recorded" not in entry.spec.capabilities]
        return sorted(found, key=preference)

    def able_backend(self, format: str, *, preferred: Any) -> str | None:
        """The backend that runs artifacts of `format` as they are: the project's if it does, else the first.

        Args:
            format: of an artifact.
            preferred: what the project has for `backend`; None is nothing.

        Returns:
            None where none does.

        Raises:
            LingoLiteError: the project's is not usable. Another in its place would give other figures under the same
                settings; artifacts that it would not run anyway do not ask for it.
        """
        if preferred is not None and self.would_run(str(preferred), format):
            try:
                return str(self.resolve("backend", str(preferred)).spec.name)
            except LingoLiteError as error:
                hint = f"{error.hint}; or take `defaults.evaluate.backend` out of lingolite.toml"
                raise LingoLiteError(error.message, hint=hint, exit_code=error.exit_code) from None
        return next(iter(self.backends_for(format)), None)

    def backend_running(self, format: str, name: str | None) -> Loaded:
        """The backend called `name`; where that is None, the first that runs `format` as it is.

        Raises:
            LingoLiteError: none does, or the one that was named does not, or is not usable.
        """
        chosen = name or next(iter(self.backends_for(format)), None)
        if chosen is None:
            raise self.no_backend(format)
        loaded = self.resolve("backend", chosen)
        if format not in loaded.spec.accepts:
            raise LingoLiteError(
                f"backend `{chosen}` does not run format {format}",
                hint="`lingolite plugins list` shows what runs what",
            )
        return loaded

    def would_run(self, name: str, format: str) -> bool:
        """Whether a backend of that name runs `format`, installed or not.

        Raises:
            LingoLiteError: there is no backend of that name, and no plugin that may have it.
        """
        if all(entry.name != name for entry in self.of_kind("backend")):
            raise self.unknown("backend", name)
        return any(entry.name == name for entry in self._backends_of(format))

    def no_backend(self, format: str) -> LingoLiteError:
        """The error where no healthy backend runs `format`: what to install, if one that is not installed does."""
        known = sorted(self._backends_of(format), key=lambda entry: preference(entry.name))
        for entry in known:
            if entry.health is Health.UNAVAILABLE and entry.spec is not None and _runs_here(entry.spec):
                return LingoLiteError(
                    f"no backend runs format {format}: `{entry.name}`, which does, {entry.reason}",
                    hint=_remedy(entry),
                    exit_code=ExitCode.PLUGIN,
                )
        return LingoLiteError(f"no backend runs format {format}", hint="`lingolite plugins list` shows the backends")

    def _backends_of(self, format: str) -> list[PluginEntry]:
        return [
            entry
            for entry in self.of_kind("backend")
            if isinstance(entry.spec, BackendSpec) and format in entry.spec.accepts
        ]

    def unknown(self, kind: str, name: str) -> LingoLiteError:
        """The error about a plugin that does not exist."""
        return LingoLiteError(
            f"there is no {kind} called `{name}`",
            hint=f"{did_you_mean(name, self.names(kind))} (`lingolite plugins list` shows all)",
        )


def load_registry(*, blocked: Iterable[str] = (), warn: Callable[[str], None] = lambda text: None) -> Registry:
    """Load all plugins; see `PluginHost` for the arguments."""
    return Registry(PluginHost(blocked=blocked, warn=warn))


def preference(name: str) -> int:
    """Where a backend stands among those that are chosen where none is named; lower is sooner."""
    return PREFERRED_BACKENDS.index(name) if name in PREFERRED_BACKENDS else len(PREFERRED_BACKENDS)


def _entries(module: LoadedModule) -> list[PluginEntry]:
    origin = module.origin
    if module.is_blocked:
        return [_whole(origin, Health.BLOCKED, "by lingolite.toml, --no-plugin or LINGOLITE_BLOCK")]
    if module.error is not None:
        return [_whole(origin, Health.BROKEN, describe(module.error), module.error)]
    if not module.specs:  # an observer: it offers nothing by name
        return [_whole(origin, Health.OK, "")]
    return [_entry(kind, spec, origin) for kind, spec in module.specs]


def _whole(origin: Origin, health: Health, reason: str, error: BaseException | None = None) -> PluginEntry:
    return PluginEntry(kind="plugin", name=origin.entry_point, origin=origin, health=health, reason=reason, error=error)


def _entry(kind: str, spec: Spec, origin: Origin) -> PluginEntry:
    health, reason = Health.OK, ""
    systems = ", ".join(_SYSTEMS.get(platform, platform) for platform in spec.platforms)
    missing = [name for name in spec.requires if find_spec(name.partition(".")[0]) is None]
    if spec.api != API_VERSION:
        health, reason = Health.INCOMPATIBLE, f"made for plugin API {spec.api}; this host has {API_VERSION}"
    elif not _runs_here(spec):
        health, reason = Health.UNAVAILABLE, f"works on {systems} only"
    elif missing:
        health, reason = Health.UNAVAILABLE, f"needs {', '.join(missing)}"
    return PluginEntry(kind=kind, name=spec.name, origin=origin, health=health, reason=reason, spec=spec)


_SYSTEMS = {"darwin": "macOS", "linux": "Linux", "win32": "Windows"}
"""What people call the values of `sys.platform`."""


def _runs_here(spec: Spec) -> bool:
    return not spec.platforms or sys.platform in spec.platforms


def _mark_duplicates(entries: list[PluginEntry]) -> list[PluginEntry]:
    claims: dict[tuple[str, str], list[PluginEntry]] = defaultdict(list)
    for entry in entries:
        if entry.kind in KINDS:
            claims[entry.kind, entry.name].append(entry)
    return [_marked(entry, claims.get((entry.kind, entry.name), [])) for entry in entries]


def _marked(entry: PluginEntry, claimants: list[PluginEntry]) -> PluginEntry:
    if len(claimants) < 2:
        return entry
    both = " and ".join(f"{other.origin.distribution} {other.origin.version}" for other in claimants)
    return msgspec.structs.replace(entry, health=Health.DUPLICATE, reason=f"claimed by {both}")


def _remedy(entry: PluginEntry) -> str:
    if entry.spec is not None and not _runs_here(entry.spec):
        return "`lingolite plugins list` shows what works on this system"
    if entry.health is Health.UNAVAILABLE and entry.spec is not None and entry.spec.install:
        return install_hint(entry.spec.install, entry.spec.requires)
    if entry.health is Health.DUPLICATE:
        return "uninstall one, or block one with `lingolite --no-plugin DISTRIBUTION …`"
    if entry.health is Health.INCOMPATIBLE:
        return f"upgrade {entry.origin.distribution} or lingolite"
    return f"see `lingolite -v plugins show {entry.name}`"
