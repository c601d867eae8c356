"""How a diagnosis of this machine and installation looks on a terminal."""

from __future__ import annotations

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.jobs.diagnosis import Diagnosis


def show_diagnosis(found: Diagnosis, console: Console) -> None:
    """Versions, CPU, plugins and engines."""
    environment, unhealthy = found.environment, found.unhealthy
    console.print_json(
        {
            "environment": msgspec.to_builtins(environment),
            "project": str(found.project.root),
            "plugins": found.num_plugins,
            "unhealthy": [{"kind": e.kind, "name": e.name, "health": e.health.value} for e in unhealthy],
            "diagnoses": found.findings,
            "missing_extras": [
                {"name": extra.name, "gives": extra.gives, "install": extra.install} for extra in found.missing
            ],
        }
    )
    console.print(f"lingolite {environment.lingolite}, Python {environment.python}, {environment.platform}")
    console.print(f"CPU: {environment.cpu}, {environment.cores} cores, {' '.join(environment.cpu_features)}")
    console.print(", ".join(f"{name} {version}" for name, version in environment.packages.items()))
    console.print(f"project: {found.project.root}" + ("" if found.project.settings_path else " (no lingolite.toml)"))
    console.print(f"plugins: {found.num_plugins}, of which {len(unhealthy)} cannot be used")
    for entry in unhealthy:
        console.print(
            f"  {entry.kind} {entry.name} of {entry.origin.distribution}: {entry.health.value}: {entry.reason}"
        )
    for extra in found.missing:
        console.print(f"not installed: {extra.name}, which gives {extra.gives}: {extra.install}")
    for name, findings in found.findings.items():
        for finding in findings:
            console.print(f"{name}: {finding}")
