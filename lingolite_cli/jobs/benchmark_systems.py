"""The systems of `lingolite bench`: how `--system` is read, and what is measured where nothing is asked for.

Owns requests only. The conversions that a system needs are in `benchmark`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import SHORTLIST_NAME, read_manifest
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import Health, Registry
from lingolite_cli.schema import parse_options

FORM = "BACKEND[@METHOD|@DIR][,KEY=VALUE…]"
_WITH_SHORTLIST = "shortlist=true"
_DEFAULTS = ("eager", "cached", "int8", "onnx", "onnx@dynamic-int8", "ctranslate2@dynamic-int8")


class SystemRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One system: a backend on the model as it is, on the model quantized by `method`, or on another artifact.

    `name` stands in the tables: what was asked for, with the last part only of a directory. `threads` and `workers` are
    those of all systems where they are None.
    """

    name: str
    backend: str
    method: str | None = None
    directory: Path | None = None
    options: dict[str, Any] = {}
    threads: int | None = None
    workers: int | None = None


def parse_system(text: str) -> SystemRequest:
    """Read `BACKEND[@METHOD|@DIR][,KEY=VALUE…]`; what has a separator in it, or is a directory, is a DIR.

    The keys `threads` and `workers` are the system's, all others options of the backend.

    Raises:
        LingoLiteError: an option is not KEY=VALUE, or the backend is missing.
    """
    asked, *pairs = text.split(",")
    backend, _, what = asked.partition("@")
    if not backend:
        raise LingoLiteError(f"--system {text}: no backend", hint=f"expected {FORM}")
    options = parse_options(pairs, flag=f"--system {asked},")
    is_directory = "/" in what or Path(what or "?").is_dir()
    return SystemRequest(
        name=",".join([f"{backend}@{Path(what).resolve().name}", *pairs]) if is_directory else text,
        backend=backend,
        method=None if is_directory or not what else what,
        directory=Path(what).resolve() if is_directory else None,
        threads=_number(options.pop("threads", None), flag=f"--system {text}", key="threads"),
        workers=_number(options.pop("workers", None), flag=f"--system {text}", key="workers"),
        options=options,
    )


def _number(value: Any, *, flag: str, key: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise LingoLiteError(f"{flag}: {key} is {value!r}, not a number of at least 1", hint=f"for example {key}=2")
    return value


def parse_systems(texts: Sequence[str]) -> list[SystemRequest]:
    """As `parse_system`, each with a name of its own: where two would have the same, both keep the whole text.

    Raises:
        LingoLiteError: as there, or one is asked for twice.
    """
    for text, count in Counter(texts).items():
        if count > 1:
            raise LingoLiteError(f"--system {text} is given {count} times", hint="once is enough")
    systems = [parse_system(text) for text in texts]
    names = Counter(system.name for system in systems)
    return [
        msgspec.structs.replace(system, name=text) if names[system.name] > 1 else system
        for system, text in zip(systems, texts, strict=True)
    ]


def default_systems(registry: Registry) -> list[SystemRequest]:
    """What is measured when nothing is asked for: an engine that is an extra only where it is installed."""
    missing = {entry.name for entry in registry.of_kind("backend") if entry.health is Health.UNAVAILABLE}
    known = {entry.name for entry in registry.of_kind("backend")}
    systems = map(parse_system, _DEFAULTS)
    return [system for system in systems if system.backend in known - missing]


def add_shortlisted(systems: Sequence[SystemRequest], *, model: Path) -> list[SystemRequest]:
    """The systems, and after each whose artifact has a vocabulary shortlist the same with it.

    Args:
        systems: what is measured.
        model: the artifact of systems that bring none.

    Raises:
        LingoLiteError: no artifact has one.
    """
    found = list(_shortlisted(systems, model))
    if len(found) == len(systems):
        raise LingoLiteError(
            "--shortlist: no system has an artifact with a vocabulary shortlist",
            hint="name one with --system onnx@DIR; `lingolite export --shortlist FILE` makes it",
        )
    return found


def _shortlisted(systems: Sequence[SystemRequest], model: Path) -> Iterator[SystemRequest]:
    for system in systems:
        yield system
        files = {} if system.method else read_manifest(system.directory or model).files
        if SHORTLIST_NAME in files and "shortlist" not in system.options:
            name, options = f"{system.name},{_WITH_SHORTLIST}", {**system.options, "shortlist": True}
            yield msgspec.structs.replace(system, name=name, options=options)
