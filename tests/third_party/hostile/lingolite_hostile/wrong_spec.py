"""Gives a descriptor of the wrong kind."""

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import MetricSpec


@hookimpl
def lingolite_backends() -> list[MetricSpec]:
    """Not backends."""
    return [MetricSpec(name="confused", summary="", factory="nowhere:Nothing")]
