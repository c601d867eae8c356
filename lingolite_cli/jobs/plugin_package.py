"""`lingolite plugins new`: a small package with a plugin that works, to be changed into one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.files.templates import fill_template
from lingolite_cli.jobs.context import JobContext

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class PluginKind(str, Enum):
    """Kinds of plugin; there is a template for each."""

    METRIC = "metric"
    BACKEND = "backend"
    QUANTIZER = "quantizer"
    EXPORTER = "exporter"
    IMPORTER = "importer"
    REPORTER = "reporter"
    EXECUTOR = "executor"
    SERVER = "server"


_DEPENDENCIES = {
    PluginKind.METRIC: ("lingolite", "msgspec", "numpy"),
    PluginKind.BACKEND: ("lingolite", "msgspec", "torch"),
    PluginKind.QUANTIZER: ("lingolite", "msgspec", "numpy", "safetensors"),
    PluginKind.EXPORTER: ("lingolite", "msgspec", "safetensors"),
    PluginKind.IMPORTER: ("lingolite", "msgspec", "numpy"),
    PluginKind.REPORTER: ("lingolite", "msgspec"),
    PluginKind.EXECUTOR: ("lingolite", "msgspec"),
    PluginKind.SERVER: ("lingolite", "msgspec"),
}


def write_plugin_package(context: JobContext, name: str, kind: PluginKind, *, out: Path | None) -> list[Path]:
    """Write a package with a plugin that works, and a test that holds it to its contract.

    Args:
        context: whose plugins must not have the same name.
        name: of the plugin.
        kind: of the plugin.
        out: the directory to make; None is lingolite-NAME.

    Returns:
        The files that were written, inside the directory.

    Raises:
        LingoLiteError: the name is taken or cannot be one, or the directory exists.
    """
    if not _NAME.fullmatch(name):
        raise LingoLiteError(
            f"`{name}` cannot be the name of a plugin",
            hint="use lower-case letters, digits and single hyphens: word-order",
        )
    taken = [entry for entry in context.registry.of_kind(kind.value) if entry.name == name]
    if taken:
        raise LingoLiteError(
            f"there is a {kind.value} called `{name}` already, of {taken[0].origin.distribution}",
            hint="choose another name: of two plugins with one name neither is used",
        )
    target = out or Path(f"lingolite-{name}")
    if target.exists():
        raise LingoLiteError(f"{target} exists", hint="choose another place with --out")
    files = _files(name, kind)
    with atomic_directory(target) as directory:
        for path, data in files.items():
            (directory / path).parent.mkdir(exist_ok=True)
            (directory / path).write_bytes(data)
    return [target / path for path in files]


def _files(name: str, kind: PluginKind) -> Mapping[str, bytes]:
    """The package's files by their path in it."""
    package = f"lingolite_{name.replace('-', '_')}"
    words = "".join(part.capitalize() for part in name.split("-"))
    values = {
        "name": name,
        "kind": kind.value,
        "package": package,
        "words": words,
        "class": f"{words}{kind.value.capitalize()}",  # never the name of something imported, such as `Score`
        "dependencies": ", ".join(f'"{dependency}"' for dependency in _DEPENDENCIES[kind]),
    }
    templates = {
        "pyproject.toml": "plugin-pyproject.toml.in",
        "README.md": "plugin-README.md.in",
        f"{package}/__init__.py": f"plugin-{kind.value}-init.py.in",
        f"{package}/{kind.value}.py": f"plugin-{kind.value}.py.in",
        f"tests/test_{package}.py": f"plugin-{kind.value}-test.py.in",
    }
    return {path: fill_template(template, values) for path, template in templates.items()}
