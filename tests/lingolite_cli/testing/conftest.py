"""What the contracts with mistakes are run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import follow


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return follow((), tmp_path)
