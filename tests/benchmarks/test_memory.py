"""Memory over many sentences: what is measured, and that an engine's stays flat."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.routes import convert_with

SCRIPT = Path(__file__).with_name("memory.py")
pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="resident memory is read from /proc")

FLAT_MB = 15.0
"""A leak of the results of each call, logits or caches, would be several hundred here."""


def test_growth_counts_from_the_end_of_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import memory

    samples = [memory.Sample(number, mb) for number, mb in [(0, 50.0), (10, 90.0), (20, 100.0), (60, 130.0), (99, 104)]]
    found = memory.growth(samples)
    assert found == memory.Growth(at_first=50.0, warm=100.0, at_last=104, peak=130.0)
    assert found.after_warm_up == 4.0


def test_every_pass_over_the_sentences_has_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import memory

    drawn = list(memory.sentences(5000))
    length = drawn.index(drawn[0], 1)
    assert drawn != drawn[:length] * (5000 // length + 1)
    assert len(set(drawn)) == len(set(memory.sentences(10_000))), "5,000 are more than one pass"


@pytest.mark.slow
def test_memory_stays_flat(tiny: Artifact, tmp_path: Path) -> None:
    artifact = convert_with(load_registry().resolve("exporter", "onnx"), tiny, tmp_path / "exported")
    flags = ["--model", artifact.path, "--sentences", "400", "--batch-size", "8", "--out", "memory.svg"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *flags], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    growth = re.search(r"growth after warm-up: ([+-][\d.]+) MB", done.stdout)
    assert growth is not None, done.stdout
    assert float(growth[1]) < FLAT_MB
    assert "400 sentences in batches of 8" in done.stdout
    assert (tmp_path / "memory.svg").read_text(encoding="utf-8").startswith("<?xml")
