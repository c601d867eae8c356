"""What all contracts share: the plugin under test, and artifacts to test it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.testing.routes import Route, follow, registry, shortest_routes

_T = TypeVar("_T")
_SHARED = pytest.StashKey[dict[str, Any]]()
"""Of a contract's class: by the digest of an artifact."""


class Contract:
    """Base of contracts.

    Attributes:
        kind: kind of the plugin; set by the contract.
        plugin: name of the plugin; set by its author.
        options: its options, as a recipe would write them.
    """

    kind: ClassVar[str]
    plugin: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def loaded(cls) -> Loaded:
        """The plugin under test."""
        return registry().resolve(cls.kind, cls.plugin)


class ArtifactContract(Contract):
    """Base of contracts of plugins that read artifacts. Each test runs once for each route.

    Attributes:
        routes: how the artifacts to read are made from the tiny bundle: names of quantizers and exporters. By default
            the shortest route to each format that the plugin accepts.
    """

    routes: ClassVar[tuple[Route, ...] | None] = None

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Run each test that asks for a `route` on each of them."""
        if "route" in metafunc.fixturenames:
            routes = cls._routes()
            metafunc.parametrize("route", routes, ids=["+".join(["bundle", *route]) for route in routes])

    @classmethod
    def _routes(cls) -> tuple[Route, ...]:
        if cls.routes is not None:
            return cls.routes
        accepted = cls.loaded().spec.accepts
        found = shortest_routes(accepted)
        if not found:
            raise LingoLiteError(
                f"no installed quantizer or exporter leads to {', '.join(sorted(accepted))}",
                hint="bring an artifact of your own: override the fixture `artifact`",
            )
        return tuple(found.values())

    @pytest.fixture
    def artifact(self, route: Route, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
        """What the plugin reads. Override it, without the parameter `route`, to bring an artifact of your own."""
        return follow(route, artifacts_root(tmp_path_factory))


def artifacts_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where artifacts are kept during a test session, so that each is made once."""
    return tmp_path_factory.getbasetemp() / "lingolite-contracts"


def shared(
    request: pytest.FixtureRequest,
    artifact: Artifact,
    make: Callable[[], _T],
    *,
    close: Callable[[_T], None] | None = None,
) -> _T:
    """What all tests of a contract that read `artifact` share: the first one makes it; after the last it is closed."""
    contract = request.node.parent
    made: dict[str, _T] = contract.stash.setdefault(_SHARED, {})
    digest = artifact.digest
    if digest not in made:
        made[digest] = make()
        contract.addfinalizer(lambda: close(made.pop(digest)) if close else made.pop(digest))
    return made[digest]
