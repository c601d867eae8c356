"""The browser: the exporter `web`, which makes a page that translates offline of portable ONNX files, and the
backend `chromium`, which runs it.

Descriptors only. The page itself lies in `page/`, and the lock file of the runtime that it needs in `runtime_lock/`.
"""

from __future__ import annotations

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, ExporterSpec
from lingolite_web.options import FORMAT, ONNX, ChromiumOptions, WebExportOptions


@hookimpl
def lingolite_exporters() -> list[ExporterSpec]:
    """The exporter `web`."""
    return [
        ExporterSpec(
            name="web",
            summary="a page that translates offline in the browser, from portable ONNX files",
            factory="lingolite_web.exporter:WebExporter",
            options=WebExportOptions,
            accepts=frozenset({ONNX}),
            produces=FORMAT,
            requires=("onnxruntime", "sentencepiece"),
            install="pip install onnxruntime sentencepiece",
        )
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """The backend `chromium`."""
    return [
        BackendSpec(
            name="chromium",
            summary="a page in headless Chromium, by its own scripts and runtime",
            factory="lingolite_web.backend:ChromiumBackend",
            options=ChromiumOptions,
            accepts=frozenset({FORMAT}),
            capabilities=frozenset({"arithmetic", "data", "replay"}),
            lacks="lingolite_web.chromium:what_is_lacking",
            requires=("playwright",),
            install='pip install "lingolite[browser]"',
        )
    ]
