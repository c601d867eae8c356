"""Loads well, and offers plugins that cannot be used."""

from __future__ import annotations

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import BackendSpec, MetricSpec


@hookimpl
def lingolite_metrics() -> list[MetricSpec]:
    """A name that is taken, one of a later API, two whose code cannot be imported, and one that cannot count."""
    return [
        MetricSpec(name="bleu", summary="another BLEU", factory="lingolite_hostile.rival:Nothing"),
        MetricSpec(name="future", summary="of a later API", factory="lingolite_hostile.rival:Nothing", api=99),
        MetricSpec(name="explodes", summary="fails when used", factory="lingolite_hostile.raises:Nothing"),
        MetricSpec(name="unsure", summary="is not a number", factory="lingolite_hostile.unsure:Unsure"),
        MetricSpec(name="absent", summary="has no class", factory="lingolite_hostile.rival:Nothing"),
    ]


@hookimpl
def lingolite_backends() -> list[BackendSpec]:
    """One whose engine is not installed."""
    return [
        BackendSpec(
            name="warp",
            summary="needs an engine",
            factory="lingolite_hostile.rival:Nothing",
            accepts=frozenset({"bundle"}),
            requires=("no_such_engine", "numpy"),
            install="pip install no-such-engine",
        )
    ]
