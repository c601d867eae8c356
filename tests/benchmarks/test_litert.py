"""The figures of LiteRT files, on a few sentences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("litert.py")
pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')


def test_every_file_is_measured_against_the_others(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--num-sentences", "3", "--rounds", "1", "--starts", "1"]
    command += ["--work", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    costs, starts = done.stdout.strip().split("\n\n")
    rows, opened = ([line.split(" | ") for line in table.splitlines()[2:]] for table in (costs, starts))
    names = [
        "| ONNX ORT int8",
        "| LiteRT int8, symmetric",
        "| LiteRT int8, the runtime's own rounding",
        "| LiteRT float32",
        "| LiteRT float16",
    ]
    assert [row[0] for row in rows] == names
    assert {row[0] for row in opened} == {*names[1:], "| LiteRT int8, symmetric, weight cache"}
    assert [row[1] for row in rows[3:]] == ["3 of 3 as `cached`"] * 2
