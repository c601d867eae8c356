"""`lingolite doctor`: what this machine and installation can do, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec
import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.environment import describe_environment
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.manager import describe
from lingolite_cli.plugins.registry import Health, Loaded


def doctor(typer_context: typer.Context, json: JsonFlag = False) -> None:
    """Versions, CPU, plugins and engines. Exits 4 when a plugin is broken."""
    context = context_of(typer_context)
    console = context.console(json=json)
    environment = describe_environment(threads=context.project.threads)
    unhealthy = [entry for entry in context.registry.entries if entry.health is not Health.OK]
    diagnoses = _diagnoses(context.registry)
    console.print_json(
        {
            "environment": msgspec.to_builtins(environment),
            "project": str(context.project.root),
            "plugins": len(context.registry.entries),
            "unhealthy": [{"kind": e.kind, "name": e.name, "health": e.health.value} for e in unhealthy],
            "diagnoses": diagnoses,
        }
    )
    console.print(f"lingolite {environment.lingolite}, Python {environment.python}, {environment.platform}")
    console.print(f"CPU: {environment.cpu}, {environment.cores} cores, {' '.join(environment.cpu_features)}")
    console.print(", ".join(f"{name} {found}" for name, found in environment.packages.items()))
    console.print(
        f"project: {context.project.root}" + ("" if context.project.settings_path else " (no lingolite.toml)")
    )
    console.print(f"plugins: {len(context.registry.entries)}, of which {len(unhealthy)} cannot be used")
    for entry in unhealthy:
        console.print(
            f"  {entry.kind} {entry.name} of {entry.origin.distribution}: {entry.health.value}: {entry.reason}"
        )
    for name, findings in diagnoses.items():
        for finding in findings:
            console.print(f"{name}: {finding}")
    if any(entry.health is Health.BROKEN for entry in unhealthy):
        raise typer.Exit(ExitCode.PLUGIN)


def _diagnoses(registry: Any) -> dict[str, list[str]]:
    """What each backend with the capability `diagnose` says of this machine."""
    found = {}
    for entry in registry.of_kind("backend"):
        if entry.health is Health.OK and "diagnose" in entry.spec.capabilities:
            found[entry.name] = _diagnose(registry.resolve("backend", entry.name))
    return found


def _diagnose(backend: Loaded) -> list[str]:
    """An engine that cannot be imported, or fails at its own diagnosis, is a finding and no reason to stop."""
    try:
        factory: Any = backend.load_factory()
        return list(factory.diagnose())
    except LingoLiteError as error:
        return [error.message]
    except Exception as error:
        return [f"its diagnosis failed: {describe(error)}"]
