"""Damaged artifacts, by a seed: refused in words or run, and never a traceback, a hang or a process that dies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lingolite_cli.testing.routes import follow

DAMAGE = Path(__file__).with_name("damage.py")
SECONDS = 30.0
"""Most that a case may take, on a machine that is busy with others."""

KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "bundle": ((), "cached"),
    "int8": (("dynamic-int8",), "int8"),
    "static": (("static-int8",), "int8"),
    "int4": (("int4",), "eager"),
    "onnx": (("onnx",), "onnx"),
    "int8 onnx": (("dynamic-int8", "onnx"), "onnx"),
    "ctranslate2": (("ctranslate2",), "ctranslate2"),
}
"""How each is made of a tiny bundle, and what runs it."""
DEFAULT = ("bundle", "onnx", "ctranslate2")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where artifacts are made, each once."""
    return tmp_path_factory.mktemp("artifacts")


def cases(kind: str, what: str, *, root: Path, scratch: Path, first: int, count: int) -> list[dict[str, Any]]:
    route, backend = KINDS[kind]
    source = follow(route, root).path
    child = subprocess.run(
        [sys.executable, DAMAGE, source, backend, scratch, str(first), str(count), what],
        capture_output=True,
        text=True,
        timeout=120 + SECONDS * count,
        check=False,
    )
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, f"{kind}: died in {lines[-1:]} with {child.returncode}: {child.stderr[-999:]}"
    return [line for line in lines if "end" in line]


def check(found: list[dict[str, Any]], *, may_run: bool) -> None:
    for case in found:
        assert not case["outcome"].startswith("BUG"), case
        assert case["seconds"] < SECONDS, case
        assert may_run or case["outcome"].startswith("refused"), case


@pytest.mark.parametrize("what", ["files", "manifest"])
@pytest.mark.parametrize("kind", DEFAULT)
def test_damage_with_digests_made_anew_is_refused_in_words_or_run(
    artifacts: Path, tmp_path: Path, kind: str, what: str
) -> None:
    check(cases(kind, what, root=artifacts, scratch=tmp_path / "copy", first=0, count=12), may_run=True)


@pytest.mark.parametrize("kind", DEFAULT)
def test_damage_without_new_digests_never_runs(artifacts: Path, tmp_path: Path, kind: str) -> None:
    found = cases(kind, "unlisted", root=artifacts, scratch=tmp_path / "copy", first=0, count=12)
    check(found, may_run=False)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["files", "manifest"])
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_damages_are_refused_in_words_or_run(artifacts: Path, tmp_path: Path, kind: str, what: str) -> None:
    check(cases(kind, what, root=artifacts, scratch=tmp_path / "copy", first=1000, count=150), may_run=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_damages_without_new_digests_never_run(artifacts: Path, tmp_path: Path, kind: str) -> None:
    found = cases(kind, "unlisted", root=artifacts, scratch=tmp_path / "copy", first=1000, count=100)
    check(found, may_run=False)
