"""How time grows, and the floor of a step: what is printed, and that both scripts run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def test_times_are_given_for_each_unit_and_against_the_first_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import growth

    by_length, _, by_batch = (growth._up_to(panel, 32) for panel in growth.PANELS)
    assert [panel.points[-1] for panel in (by_length, by_batch)] == [growth.Work(), growth.Work(batch_size=32)]
    assert growth.table(by_length, {"one": [0.002, 0.004], "other": [0.003, 0.005]})[2:] == [
        "| 16 | 2 | 3 | 1.50× |",
        "| 32 | 4 | 5 | 1.25× |",
    ]
    in_a_token = growth.table(by_batch, {"one": [2.048] * len(by_batch.points)})
    assert in_a_token[-1] == "| 32 | 2 |"


@pytest.mark.slow
def test_both_scripts_measure_the_starter(tmp_path: Path) -> None:
    work = ["--work", str(tmp_path), "--rounds", "2"]
    drawn = tmp_path / "growth.svg"
    grown = _run("growth.py", "--model", "starter", "--most", "16", "--engine", "ONNX ORT int8", "--out", drawn, *work)
    assert [line.split("|")[1].strip() for line in grown.splitlines() if line.startswith("| ")][-1] == "16"
    assert drawn.read_text(encoding="utf-8").startswith("<?xml")
    assert "| starter |" in _run("floor.py", "--model", "starter", *work)


def _run(script: str, *flags: object) -> str:
    command = [sys.executable, str(FOLDER / script), *map(str, flags)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
