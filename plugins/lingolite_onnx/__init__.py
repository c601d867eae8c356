"""ONNX: the exporter `onnx`, which writes graphs, and the backend `onnx`, which runs them in ONNX Runtime.

Descriptors only; graphs, ONNX and ONNX Runtime are imported when a step first uses them.
"""

from __future__ import annotations

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, BUNDLE_STATIC_INT8
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExporterSpec
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.options import FORMAT, OnnxExportOptions


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter."""
    return [
        ExporterSpec(
            name="onnx",
            summary="encoder and one-token decoder over one file of weights, portable or for ONNX Runtime only",
            factory="lingolite_onnx.exporter:OnnxExporter",
            options=OnnxExportOptions,
            accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8, BUNDLE_STATIC_INT8, BUNDLE_INT4}),
            produces=FORMAT,
            capabilities=frozenset({"shortlist"}),
            requires=("onnx", "onnxruntime", "safetensors"),
            install="pip install onnx onnxruntime safetensors",
        )
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend."""
    return [
        BackendSpec(
            name="onnx",
            summary="exported graphs in ONNX Runtime, with a key/value cache",
            factory="lingolite_onnx.backend:OnnxBackend",
            options=OnnxBackendOptions,
            accepts=frozenset({FORMAT}),
            capabilities=frozenset({"top_k", "diagnose", "arithmetic", "data", "trace"}),
            requires=("onnxruntime",),
            install="pip install onnxruntime",
        )
    ]
