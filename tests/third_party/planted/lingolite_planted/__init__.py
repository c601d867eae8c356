"""Backends with a fault that no file has, one each: descriptors only."""

from __future__ import annotations

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, NoOptions


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """`stale-onnx` and `stale-int8` do not reorder beams; `unmasked-int8` takes padding for text."""
    return [
        _spec("stale-onnx", "StaleOnnx", "onnx"),
        _spec("stale-int8", "StaleInt8", "bundle-int8"),
        _spec("unmasked-int8", "UnmaskedInt8", "bundle-int8"),
    ]


def _spec(name: str, factory: str, format: str) -> BackendSpec:
    return BackendSpec(
        name=name,
        summary="faulty on purpose",
        factory=f"lingolite_planted.backends:{factory}",
        options=NoOptions,
        accepts=frozenset({format}),
        requires=("numpy",),
    )
