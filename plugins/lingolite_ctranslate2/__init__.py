"""CTranslate2: the exporter `ctranslate2`, which writes its model directories, and the backend that runs them.

Descriptors only; CTranslate2 is imported when a step first uses it.
"""

from __future__ import annotations

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT8
from lingolite_cli.plugins.extras import CTRANSLATE2
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExporterSpec
from lingolite_ctranslate2.options import FORMAT, CTranslate2Options

_INSTALL = CTRANSLATE2.install


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter."""
    return [
        ExporterSpec(
            name="ctranslate2",
            summary="a CTranslate2 model directory that carries the bundle's own numbers",
            factory="lingolite_ctranslate2.exporter:CTranslate2Exporter",
            accepts=frozenset({BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8}),
            produces=FORMAT,
            requires=("ctranslate2", "safetensors"),
            install=_INSTALL,
        )
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend."""
    return [
        BackendSpec(
            name="ctranslate2",
            summary="CTranslate2's engine with its own search, on the CPU",
            factory="lingolite_ctranslate2.backend:CTranslate2Backend",
            options=CTranslate2Options,
            accepts=frozenset({FORMAT}),
            capabilities=frozenset({"translate", "prefix", "score", "arithmetic", "data"}),
            requires=("ctranslate2",),
            install=_INSTALL,
        )
    ]
