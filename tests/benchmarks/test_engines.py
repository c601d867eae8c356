"""The comparison of engines works: on a small model with two engines, without looking at a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lingolite_cli.plugins.registry import load_registry

SCRIPT = Path(__file__).with_name("engines.py")


@pytest.mark.slow
def test_the_table_has_a_row_for_each_engine(tmp_path: Path) -> None:
    engines = ["ONNX portable int8", "ONNX portable float32"]
    flags = ["--model", "tiny", "--batch-sizes", "1,2", "--num-sentences", "2", "--rounds", "1", "--cold-starts", "1"]
    chosen = [part for engine in engines for part in ("--engine", engine)]
    command = [sys.executable, str(SCRIPT), *flags, *chosen, "--lengths", "5", "--work", "work", "--out", "table.md"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert text == done.stdout
    assert "## tiny: 2 sentences, greedy, 32 target tokens each" in text
    for engine in engines:
        assert text.count(f"| {engine} |") == 2
    assert "stands for plain ONNX decoding" in text


def test_an_engine_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import engines

    registry = load_registry(blocked=["onnx"])
    chosen = [engine for engine in engines.ENGINES if engine.name in ("ONNX portable int8", "torch eager float32")]
    found, left_out = engines._usable(registry, chosen)
    assert [engine.name for engine in found] == ["torch eager float32"]
    assert left_out == ["ONNX portable int8 was left out: there is no backend called `onnx`."]


def test_two_cores_are_used_in_threads_parts_or_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import engines

    efforts = {(system.get("threads", 1), system.get("workers", 1)) for system in (e.system for e in engines.TWO_CORES)}
    assert efforts == {(2, 1), (1, 2)}
    parts = [engine for engine in engines.TWO_CORES if engine.options]
    assert [engine.system["options"] for engine in parts] == [{"inter_threads": 2}]
    assert "threads" not in engines.ENGINES[0].system
