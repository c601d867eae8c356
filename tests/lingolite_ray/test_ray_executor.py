"""The executor `ray`, with Ray started on this machine."""

import pytest

from lingolite_cli.testing import ExecutorContract

pytestmark = [pytest.mark.ray]
pytest.importorskip("ray")


class TestRay(ExecutorContract):
    plugin = "ray"
