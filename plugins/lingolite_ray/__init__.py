"""The executor `ray`: workers as actors of Ray, on this machine or on a cluster. Descriptors only."""

from __future__ import annotations

from lingolite_cli.plugins.extras import RAY
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ExecutorSpec
from lingolite_ray.options import RayOptions


@hookimpl
def lingolite_executors() -> list[ExecutorSpec]:
    """The executor that hands its work to Ray."""
    return [
        ExecutorSpec(
            name="ray",
            summary="Actors of Ray, each with an engine of its own, here or on a cluster.",
            factory="lingolite_ray.executor:RayExecutor",
            options=RayOptions,
            requires=RAY.modules,
            install=RAY.install,
        )
    ]
