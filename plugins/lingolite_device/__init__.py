"""Device bundles: the exporter `device`, which puts what an app needs into one directory, and the backend that runs it.

Descriptors only. An app is given the files of another format, the tokenizer, goldens, and the loop in Kotlin and Swift.
"""

from __future__ import annotations

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExporterSpec
from lingolite_device.options import CARRIED, FORMAT, DeviceBackendOptions, DeviceExportOptions


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter `device`."""
    return [
        ExporterSpec(
            name="device",
            summary="what an app needs: model files, tokenizer, goldens, the loop in Kotlin and Swift",
            factory="lingolite_device.exporter:DeviceExporter",
            options=DeviceExportOptions,
            accepts=frozenset(CARRIED),
            produces=FORMAT,
            capabilities=frozenset({"replay"}),
        )
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend `device`."""
    return [
        BackendSpec(
            name="device",
            summary="the model files of a device bundle, in the engine of their format",
            factory="lingolite_device.backend:DeviceBackend",
            options=DeviceBackendOptions,
            accepts=frozenset({FORMAT}),
            capabilities=frozenset({"arithmetic", "data"}),
        )
    ]
