"""LiteRT (formerly TensorFlow Lite): the exporter `litert`, which writes one `.tflite` file, and the backend that runs
it.

Descriptors only; the runtime is imported when a step first uses it.
"""

from __future__ import annotations

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT8
from lingolite_cli.plugins.extras import LITERT
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExporterSpec
from lingolite_litert.options import FORMAT, LitertExportOptions, LitertOptions


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter `litert`."""
    return [
        ExporterSpec(
            name="litert",
            summary="one .tflite file for Android, iOS and Linux, with the signatures encode and decode",
            factory="lingolite_litert.exporter:LitertExporter",
            options=LitertExportOptions,
            accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8}),
            produces=FORMAT,
            requires=(*LITERT.modules, "safetensors"),
            install=LITERT.install,
        )
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend `litert`."""
    return [
        BackendSpec(
            name="litert",
            summary="the .tflite file in LiteRT with XNNPACK, with a key/value cache",
            factory="lingolite_litert.backend:LitertBackend",
            options=LitertOptions,
            accepts=frozenset({FORMAT}),
            capabilities=frozenset({"top_k", "diagnose", "arithmetic", "data", "trace"}),
            requires=LITERT.modules,
            install=LITERT.install,
        )
    ]
