"""What needs an extra is skipped where that is not installed."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _extra(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("transformers"):
        pytest.importorskip("transformers")
