"""The hooks that a plugin may implement, and the marker to implement them with.

A plugin is a module or object registered under the entry-point group `lingolite`:

    from lingolite_cli.plugins.hookspecs import hookimpl

Every hook is optional and cheap: no hook may import torch, numpy or an engine. The host calls each
implementation by itself and catches what it raises, so one broken plugin never breaks another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from lingolite_cli.plugins.specs import (
        BackendSpec,
        ExecutorSpec,
        ExporterSpec,
        ImporterSpec,
        MetricSpec,
        QuantizerSpec,
        ReporterSpec,
        ServerSpec,
    )
    from lingolite_cli.recipe.scope import Plan
    from lingolite_cli.runs.record import RunManifest, StepRecord

PROJECT = "lingolite"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lingolite_backends() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Backends. Called once, when a command first needs plugins; a failure makes this plugin `broken`."""


@hookspec
def lingolite_quantizers() -> Iterable[QuantizerSpec]:  # type: ignore[empty-body]
    """Quantizers. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_exporters() -> Iterable[ExporterSpec]:  # type: ignore[empty-body]
    """Exporters. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_importers() -> Iterable[ImporterSpec]:  # type: ignore[empty-body]
    """Importers. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_metrics() -> Iterable[MetricSpec]:  # type: ignore[empty-body]
    """Metrics. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_reporters() -> Iterable[ReporterSpec]:  # type: ignore[empty-body]
    """Reporters. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Executors. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_servers() -> Iterable[ServerSpec]:  # type: ignore[empty-body]
    """Servers. Called once, as `lingolite_backends`."""


@hookspec
def lingolite_run_started(plan: Plan) -> None:
    """Called once a run, after its checks and before its first step. A failure is reported; the run goes on."""


@hookspec
def lingolite_step_finished(record: StepRecord) -> None:
    """Called after each step, cached ones too; for `report`, when its reports are written. A failure is reported; the
    run goes on."""


@hookspec
def lingolite_run_finished(manifest: RunManifest) -> None:
    """Called once a run that came to its end, after its manifest is written. A failure is reported; the run goes on."""
