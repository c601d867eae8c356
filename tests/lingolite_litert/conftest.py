"""Bundles of the tiny model and their files, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import convert_with, converter, follow


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """`bundle("dynamic-int8")`: the tiny bundle after quantizers."""
    root = tmp_path_factory.mktemp("bundles")
    return cache(lambda *route: follow(route, root))


@pytest.fixture(scope="session")
def exported(bundle: Callable[..., Artifact], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """`exported("dynamic-int8", activations="runtime")`: its LiteRT file."""

    @cache
    def make(*route: str, **options: Any) -> Artifact:
        path = tmp_path_factory.mktemp("exported") / "litert"
        return convert_with(converter("litert"), bundle(*route), path, options=options)

    return make
