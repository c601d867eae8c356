"""The server `http`: LibreTranslate's requests and answers, Prometheus metrics. Descriptors only."""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.plugins.extras import SERVE
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ServerSpec
from lingolite_serve.options import HttpOptions


@hookimpl
def lingolite_servers() -> Iterable[ServerSpec]:
    """The server `http`."""
    yield ServerSpec(
        name="http",
        summary="HTTP with the requests and answers of LibreTranslate, server-sent events and Prometheus metrics",
        factory="lingolite_serve.server:HttpServer",
        options=HttpOptions,
        requires=SERVE.modules,
        install=SERVE.install,
    )
