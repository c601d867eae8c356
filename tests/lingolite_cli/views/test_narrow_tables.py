"""Tables in a terminal of 80 columns: no number and no name is broken over lines."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lingolite_cli.benchmark.figures import LengthBucket
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.console import Console
from lingolite_cli.history.series import trends_of
from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.testing.sample_run import sample_run
from lingolite_cli.views.benchmark import show_benchmark
from lingolite_cli.views.history import show_entries, show_entry
from lingolite_cli.views.verification import show_verdicts
from tests.lingolite_cli.history.history_entries import entry


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def words(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    return out.split()


def test_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = (step.result for step in sample_run(tmp_path).steps if isinstance(step.result, BenchmarkResult))
    names = {"float": "onnx", "int8": "onnx@dynamic-int8"}
    systems = [msgspec.structs.replace(system, name=names[system.name]) for system in found.systems]
    bucket = LengthBucket(
        num_tokens=200,
        system="onnx@dynamic-int8",
        milliseconds=1234.5,
        ratio=12.34,
        low=11.5,
        high=13.25,
        is_noisy=True,
    )
    show_benchmark(msgspec.structs.replace(found, systems=systems, buckets=[bucket], verdicts=[]), Console())
    seen = words(capsys)
    assert seen.count("onnx@dynamic-int8") == 4
    for whole in ("tokens/s", "ms/sentence", "1234.5", "11.50–13.25", "12.34×"):
        assert whole in seen


def test_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = Verdict(
        budget="latency_p50_ms_max", limit=100, seen=27.12, low=23.32, high=39.81, rounds=24, status="pass", why=""
    )
    other = msgspec.structs.replace(verdict, budget="new_unfinished_max", low=None, high=None, rounds=None)
    show_verdicts([("verify", verdict), ("verify", other)], Console())
    seen = words(capsys)
    for whole in ("verify.latency_p50_ms_max", "verify.new_unfinished_max", "23.32", "39.81", "pass"):
        assert whole in seen


def test_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [entry(1), msgspec.structs.replace(entry(2), status="broken budget")]
    show_entries(runs, trends_of(runs), num_hidden=0, is_plotted=False, console=Console())
    show_entry(runs[1], runs[0], root=tmp_path, console=Console(json=False))
    seen = words(capsys)
    for whole in (runs[0].id, "mobile", "60.25", "dynamic-int8", "1,234"):
        assert whole in seen
