"""A plugin of each kind that raises what an option names, at the call of its one method."""

from __future__ import annotations

from typing import Literal

import msgspec

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExecutorSpec, ExporterSpec, MetricSpec, QuantizerSpec, ReporterSpec


class QuittingOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is raised, and whether it is when the plugin is made."""

    how: Literal["exit", "exit-0", "pipe", "interrupt", "stumble"] = "exit"
    at_once: bool = False


@hookimpl
def lingolite_metrics() -> list[MetricSpec]:
    """The metric `quits`."""
    return [
        MetricSpec(name="quits", summary="quits", factory="lingolite_quitting.plugin:Plugin", options=QuittingOptions)
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend `quits`."""
    return [
        BackendSpec(
            name="quits",
            summary="quits",
            factory="lingolite_quitting.plugin:Engine",
            options=QuittingOptions,
            accepts=frozenset({"bundle"}),
        )
    ]


@hookimpl
def lingolite_executors() -> list[ExecutorSpec]:
    """The executor `quits`."""
    return [
        ExecutorSpec(
            name="quits", summary="quits", factory="lingolite_quitting.plugin:Scheduler", options=QuittingOptions
        )
    ]


@hookimpl
def lingolite_quantizers() -> list[QuantizerSpec]:
    """The quantizer `quits`."""
    return [
        QuantizerSpec(
            name="quits",
            summary="quits",
            factory="lingolite_quitting.plugin:Plugin",
            options=QuittingOptions,
            accepts=frozenset({"bundle"}),
            produces="bundle-fp16",
        )
    ]


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter `quits`."""
    return [
        ExporterSpec(
            name="quits",
            summary="quits",
            factory="lingolite_quitting.plugin:Plugin",
            options=QuittingOptions,
            accepts=frozenset({"bundle"}),
            produces="nothing",
        )
    ]


@hookimpl
def lingolite_reporters() -> list[ReporterSpec]:
    """The reporter `quits`."""
    return [
        ReporterSpec(name="quits", summary="quits", factory="lingolite_quitting.plugin:Plugin", options=QuittingOptions)
    ]


@hookimpl
def lingolite_step_finished(record: object) -> None:
    """An observer that quits."""
    raise SystemExit("the observer has seen enough")
