"""`lingolite doctor`: what this machine and installation can do, and what is wrong with it."""

from __future__ import annotations

import msgspec

from lingolite_cli.environment import Environment, describe_environment
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.extras import EXTRAS, Extra
from lingolite_cli.plugins.guard import describe
from lingolite_cli.plugins.registry import Health, Loaded, PluginEntry, Registry
from lingolite_cli.plugins.specs import BackendSpec
from lingolite_cli.settings import Project


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        environment: versions and CPU.
        project: around the working directory.
        num_plugins: of all kinds.
        unhealthy: plugins that cannot be used.
        findings: by backend, what it says of this machine.
        missing: extras that are not installed.
    """

    environment: Environment
    project: Project
    num_plugins: int
    unhealthy: list[PluginEntry]
    findings: dict[str, list[str]]
    missing: list[Extra]

    @property
    def is_broken(self) -> bool:
        """Whether a plugin failed; one whose packages are not installed did not."""
        return any(entry.health is Health.BROKEN for entry in self.unhealthy)


def diagnose(context: JobContext) -> Diagnosis:
    """Look at machine, packages, plugins and engines."""
    registry = context.registry
    return Diagnosis(
        environment=describe_environment(threads=context.project.threads),
        project=context.project,
        num_plugins=len(registry.entries),
        unhealthy=[entry for entry in registry.entries if entry.health is not Health.OK],
        findings=_findings(registry),
        missing=[extra for extra in EXTRAS if not extra.is_installed],
    )


def _findings(registry: Registry) -> dict[str, list[str]]:
    """What each backend with the capability `diagnose` says of this machine."""
    return {
        entry.name: _ask(registry.resolve("backend", entry.name))
        for entry in registry.of_kind("backend")
        if entry.health is Health.OK and isinstance(entry.spec, BackendSpec) and "diagnose" in entry.spec.capabilities
    }


def _ask(backend: Loaded) -> list[str]:
    """An engine that cannot be imported, or fails at its own diagnosis, is a finding and no reason to stop."""
    try:
        return list(backend.call("diagnose"))
    except LingoLiteError as error:
        return [error.message]
    except Exception as error:
        return [f"its diagnosis failed: {describe(error)}"]
