"""Core ML: the exporter `coreml`, which writes packages for iOS and macOS, and the backends that run them.

Descriptors only; coremltools is imported when a step first uses it.
"""

from __future__ import annotations

import logging

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, BUNDLE_STATIC_INT8
from lingolite_cli.plugins.extras import COREML
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExporterSpec
from lingolite_coreml.options import (
    FORMAT,
    ON_MAC_FORMAT,
    CoreMLBackendOptions,
    CoreMLExportOptions,
    OnMacOptions,
    RecordedOptions,
)

_REQUIRES = ("coremltools",)

# While it is imported, coremltools warns of everything that Linux lacks for predictions, and of versions of PyTorch.
logging.getLogger("coremltools").setLevel(logging.ERROR)


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter `coreml`."""
    return [
        ExporterSpec(
            name="coreml",
            summary="a Core ML program for iOS and macOS that carries the bundle's own integers",
            factory="lingolite_coreml.exporter:CoreMLExporter",
            options=CoreMLExportOptions,
            accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8, BUNDLE_STATIC_INT8, BUNDLE_INT4}),
            produces=FORMAT,
            requires=_REQUIRES,
            install=COREML.install,
        ),
        ExporterSpec(
            name="coreml-on-mac",
            summary="a Core ML program with sentences and a script, to be run on a Mac without LingoLite",
            factory="lingolite_coreml.on_mac:OnMacExporter",
            options=OnMacOptions,
            accepts=frozenset({FORMAT}),
            produces=ON_MAC_FORMAT,
        ),
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backends `coreml-reference`, `coreml` and `coreml-recorded`."""
    core_ml = BackendSpec(
        name="coreml",
        summary="Core ML itself, on the CPU, the GPU and the Neural Engine of a Mac",
        factory="lingolite_coreml.backend:CoreMLBackend",
        options=CoreMLBackendOptions,
        accepts=frozenset({FORMAT}),
        capabilities=frozenset({"arithmetic", "data"}),
        requires=_REQUIRES,
        install=COREML.install,
        platforms=("darwin",),
    )
    reference = BackendSpec(
        name="coreml-reference",
        summary="the saved Core ML program, computed in numpy on any system",
        factory="lingolite_coreml.backend:CoreMLReferenceBackend",
        accepts=frozenset({FORMAT}),
        capabilities=frozenset({"arithmetic", "data", "trace"}),
        requires=_REQUIRES,
        install=COREML.install,
    )
    recorded = BackendSpec(
        name="coreml-recorded",
        summary="what a Mac said and how long it took: the result of `run_on_mac.py`",
        factory="lingolite_coreml.recorded:RecordedBackend",
        options=RecordedOptions,
        accepts=frozenset({FORMAT}),
        capabilities=frozenset({"translate", "arithmetic", "data", "recorded"}),
    )
    return [core_ml, reference, recorded]
