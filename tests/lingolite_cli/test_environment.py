"""Versions of packages, under the names that they are imported by."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from lingolite_cli.environment import package_versions


def test_versions_are_those_of_installed_packages() -> None:
    assert package_versions(("numpy", "no_such_package")) == {"numpy": version("numpy")}


def test_package_of_a_distribution_with_another_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "measuring").mkdir()
    (tmp_path / "measuring" / "__init__.py").touch()
    metadata = tmp_path / "unbabel_measuring-2.2.7.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: unbabel-measuring\nVersion: 2.2.7\n")
    (metadata / "RECORD").write_text("measuring/__init__.py,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert package_versions(("measuring",)) == {"measuring": "2.2.7"}
