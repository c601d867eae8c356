"""`lingolite quantize --method compare`: every method, through every engine that runs it, in one table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from command_line import Outcome, contents, runs

from lingolite_cli.artifact import Artifact

pytestmark = pytest.mark.expensive_fixture

Command = Callable[..., Outcome]


def only(*kept: str) -> str:
    """The table of settings that blocks all other plugins, whichever extras are installed."""
    others = [point.name for point in entry_points(group="lingolite") if point.name not in kept]
    return f"[plugins]\nblocked = {json.dumps(others)}\n"


@pytest.fixture
def compared(lingolite: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    settings = (project / "lingolite.toml").read_text(encoding="utf-8").replace('backend = "echo"', 'backend = "onnx"')
    quick = "\n[defaults.benchmark]\nrounds = 1\nnum_sentences = 2\n"
    # One engine is enough to see the comparison.
    kept = only("onnx", "quantizers", "metrics", "reports", "importers", "local")
    (project / "lingolite.toml").write_text(settings.replace("[test]", f"{kept}\n[test]") + quick, encoding="utf-8")
    return lingolite("quantize", "--method", "compare", "--max-samples", "10", "--out", "results", "--json")


def test_every_method_that_can_run_is_a_row(compared: Outcome, project: Path) -> None:
    assert compared.code == 0, compared.err
    results = json.loads(compared.out)
    assert results == json.loads((project / "results" / "quantization_results.json").read_text(encoding="utf-8"))
    rows = {row["method"]: row for row in results["rows"]}
    assert next(iter(rows)) == "none"
    assert {"dynamic-int8", "fp16"} <= set(rows)
    assert {row["backend"] for row in results["rows"]} == {"onnx"}
    (run,) = runs(project, "quantization")
    for method, row in rows.items():
        artifact = Artifact.open(run / "artifacts" / f"{method}-onnx-files")
        assert row["size_mb"] == pytest.approx(artifact.size_bytes / 1e6, rel=1e-12)
        assert set(row["tokens_per_second"]) == {"1", "32"}
        assert min(row["tokens_per_second"].values()) > 0
    assert rows["none"]["size_ratio"] == rows["none"]["parity"] == 1.0
    assert rows["dynamic-int8"]["size_ratio"] < rows["fp16"]["size_ratio"] < 1.0
    assert "bleu against size" in (run / "report.html").read_text(encoding="utf-8")
    (difference,) = rows["dynamic-int8"]["metrics"]
    assert difference["metric"] == "bleu"
    assert difference["low"] <= difference["delta"] <= difference["high"]


def test_methods_that_calibrate_are_compared_where_they_have_text(with_echo: Command, project: Path) -> None:
    _block_all_but_echo(project)
    arguments = ("quantize", "--method", "compare", "--max-samples", "10", "--json")
    (project / "one.en").write_text("One sentence.\n", encoding="utf-8")
    left_out = with_echo(*arguments)
    assert left_out.code == 2
    assert "there is nothing to compare" in left_out.err
    assert "`recall`: it needs text to run the model on, and none is named" in left_out.err
    calibrated = with_echo(*arguments, "--calibration", "one.en")
    assert calibrated.code == 0, calibrated.err
    assert f"calibrating on {project / 'one.en'}\n" in calibrated.err
    assert [row["method"] for row in calibrated.json["rows"]] == ["none", "recall"]
    assert calibrated.json["left_out"] == {}


@pytest.mark.slow
def test_workers_compare_as_the_run_itself_does_and_time_nothing(with_echo: Command, project: Path) -> None:
    _block_all_but_echo(project)
    arguments = ("quantize", "--method", "compare", "--max-samples", "10", "--json", "--calibration", "test.tsv")
    alone = with_echo(*arguments)
    shutil.rmtree(project / ".lingolite")
    shared = with_echo(*arguments, "--workers", "2")
    steps = [line.partition(":")[0] for line in shared.err.splitlines() if line.endswith("done by a worker")]
    assert {"recall", "recall-echo"} <= set(steps)
    assert "speed" not in steps
    assert [untimed(row) for row in shared.json["rows"]] == [untimed(row) for row in alone.json["rows"]]


def _block_all_but_echo(project: Path) -> None:
    block = only("echo", "metrics", "reports", "importers", "local") + "\n[test]"
    settings = project / "lingolite.toml"
    quick = "\n[defaults.benchmark]\nrounds = 1\nnum_sentences = 2\n"
    settings.write_text(settings.read_text(encoding="utf-8").replace("[test]", block) + quick, encoding="utf-8")


def untimed(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key != "tokens_per_second"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "compare", "--option", "a=1"], "--option goes to one quantizer"),
        (["--method", "compare", "--out", "test.tsv"], "test.tsv is a file"),
        (["--method", "fp16"], "--out is missing"),
        (["--method", "fp16", "--out", "x", "--max-samples", "10"], "--max-samples is for --method compare"),
    ],
)
def test_options_that_could_not_be_followed_are_refused_before_any_work(
    lingolite: Command, project: Path, arguments: list[str], message: str
) -> None:
    before = contents(project)
    outcome = lingolite("quantize", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert contents(project) == before
