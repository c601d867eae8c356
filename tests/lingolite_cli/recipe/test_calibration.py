"""Quantizers that need text: who gets it, who is refused, and what is recorded. `recall` is a third-party one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents, read_run, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.specs import QuantizerSpec
from lingolite_cli.runs.made_results import QuantizeResult
from lingolite_cli.testing import SENTENCES

Command = Callable[..., Outcome]

RECIPE = """\
name = "calibrated"

[inputs]
model = { bundle = "model" }
calib = { source = "calib.en" }
train = { pairs = "test.tsv" }

[[steps]]
id = "half"
uses = "quantize"
method = "recall"
calibration = "inputs.calib"
"""


@pytest.fixture
def calibrated(with_echo: Command, project: Path) -> Command:
    """The command in a project with a recipe that calibrates on sources alone, and with the quantizer `recall`."""
    (project / "recipes" / "calibrated.toml").write_text(RECIPE, encoding="utf-8")
    (project / "calib.en").write_text("".join(f"{sentence}\n" for sentence in SENTENCES), encoding="utf-8")
    return with_echo


def with_dev(project: Path) -> None:
    settings = project / "lingolite.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("[test]", '[dev]\nsource = "calib.en"\n\n[test]'), encoding="utf-8")


def test_a_quantizer_gets_the_sources_and_their_digest_is_recorded(calibrated: Command, project: Path) -> None:
    outcome = calibrated("run", "recipes/calibrated.toml")
    assert outcome.code == 0, outcome.err
    assert "inputs.model → bundle-fp16 by recall, calibrated on inputs.calib" in outcome.err
    (run,) = runs(project, "calibrated")
    (record,) = read_run(run).steps
    assert isinstance(record.result, QuantizeResult)
    summary = record.result.calibration
    assert summary is not None
    assert (summary.name, summary.num_samples, summary.languages) == ("calib", len(SENTENCES), ("en", "da"))
    manifest = Artifact.open(run / "artifacts" / "half").manifest
    assert manifest.details == {"sources": list(SENTENCES), "languages": ["en", "da"], "threads": 1}
    assert manifest.made_by.inputs == {
        "source": Artifact.open(project / "model").digest,
        "calibration": summary.digest,
    }


def test_other_text_is_other_work(calibrated: Command, project: Path) -> None:
    assert calibrated("run", "recipes/calibrated.toml").code == 0
    assert "half: cached" in calibrated("run", "recipes/calibrated.toml").err
    (project / "calib.en").write_text("Hello.\n", encoding="utf-8")
    outcome = calibrated("run", "recipes/calibrated.toml", "--plan")
    assert "inputs[1] changed" in " ".join(outcome.out.split())
    assert calibrated("run", "recipes/calibrated.toml").code == 0
    newest = Artifact.open(runs(project, "calibrated")[-1] / "artifacts" / "half")
    assert newest.manifest.details["sources"] == ["Hello."]


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ('calibration = "inputs.calib"\n', "", "`recall` needs text to run the model on, and none is named", "name an"),
        ('"recall"', '"fp16"', "`fp16` takes no calibration text", "leave out the key `calibration`"),
        ('"inputs.calib"', '"inputs.calb"', "there is no `inputs.calb`", "did you mean `inputs.calib`?"),
        ('"inputs.calib"', '"inputs.train"', "`inputs.train` is text to train on", 'name text as { tsv = "FILE" }'),
        ('"inputs.calib"', '"inputs.model"', "there is no `inputs.model`", ""),
        ("calib.en", "calb.en", "no such file", "calib.en"),
        ('"calib.en"', '"calib.en", languages = ["en", "nb"]', "`inputs.calib` is in `nb`", "the model knows en, da"),
    ],
)
def test_the_wrong_text_is_refused_before_any_work(
    calibrated: Command, project: Path, old: str, new: str, message: str, hint: str
) -> None:
    path = project / "recipes" / "calibrated.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    before = contents(project)
    outcome = calibrated("run", "recipes/calibrated.toml")
    assert outcome.code == 2
    assert message in outcome.err
    assert hint in outcome.err
    assert contents(project) == before


def test_an_empty_text_is_refused_before_any_work(calibrated: Command, project: Path) -> None:
    (project / "calib.en").write_text("", encoding="utf-8")
    before = contents(project)
    outcome = calibrated("run", "recipes/calibrated.toml")
    assert outcome.code == 2
    assert "calib.en has no sentences" in outcome.err
    after = contents(project)
    assert after.pop(".lingolite/history.sqlite"), "that the run failed is kept"
    (kept,) = (name for name in after if name.startswith(".lingolite/history.sqlite.runs/"))
    assert after.pop(kept), "beside the database, for it has no directory of its own"
    assert after == before


def test_the_command_calibrates_on_the_file_that_is_named(calibrated: Command, project: Path) -> None:
    outcome = calibrated("quantize", "--method", "recall", "--calibration", "test.tsv", "--out", "made")
    assert outcome.code == 0, outcome.err
    assert f"calibrating on {project / 'test.tsv'}\n" in outcome.err
    made = Artifact.open(project / "made").manifest
    assert made.details["sources"][0] == f"{SENTENCES[0]} 0"
    assert f"calibrated on 21 sentences, SHA-256 {made.made_by.inputs['calibration']}" in outcome.out.splitlines()


def test_the_command_calibrates_on_the_projects_dev_set(calibrated: Command, project: Path) -> None:
    refused = calibrated("quantize", "--method", "recall", "--out", "made")
    assert refused.code == 2
    assert "`recall` needs text to run the model on, and none is named" in refused.err
    assert "--calibration FILE" in refused.err
    with_dev(project)
    outcome = calibrated("quantize", "--method", "recall", "--out", "made")
    assert outcome.code == 0, outcome.err
    assert f"calibrating on {project / 'calib.en'}, [dev] of {project / 'lingolite.toml'}\n" in outcome.err
    assert Artifact.open(project / "made").manifest.details["sources"] == list(SENTENCES)


def test_text_for_a_method_that_reads_none_is_refused(calibrated: Command, project: Path) -> None:
    before = contents(project)
    outcome = calibrated("quantize", "--method", "fp16", "--calibration", "calib.en", "--out", "made")
    assert outcome.code == 2
    assert "`fp16` takes no calibration text" in outcome.err
    assert contents(project) == before


def test_a_benchmark_quantizes_on_the_projects_dev_set(calibrated: Command, project: Path) -> None:
    system = ("bench", "--system", "echo@recall", "--num-sentences", "2", "--rounds", "1", "--lengths", "4")
    refused = calibrated(*system)
    assert refused.code == 2
    assert "name it as [dev] in lingolite.toml" in refused.err
    with_dev(project)
    outcome = calibrated(*system)
    assert outcome.code == 0, outcome.err
    assert "calibrated on inputs.calibration" in outcome.err


def test_a_conversion_on_the_way_to_a_backend_never_needs_text(calibrated: Command) -> None:
    shown = calibrated("plugins", "show", "recall").out
    assert "  needs: calibration\n" in shown
    assert calibrated("eval", "--backend", "onnx", "--max-samples", "10").code == 0


def test_a_need_that_there_is_none_of_breaks_the_plugin_that_has_it() -> None:
    with pytest.raises(ValueError, match="quantizer `q` needs `prayer`, which is none of calibration, training"):
        QuantizerSpec(
            name="q",
            summary="",
            factory="here:Q",
            accepts=frozenset(),
            produces="x",
            needs=frozenset({"calibration", "prayer"}),
        )


def test_static_int8_is_made_by_the_command(lingolite: Command, project: Path) -> None:
    arguments = ("quantize", "--method", "static-int8", "--calibration", "test.tsv", "--option", "max_samples=3")
    outcome = lingolite(*arguments, "--out", "made")
    assert outcome.code == 0, outcome.err
    manifest = Artifact.open(project / "made").manifest
    assert manifest.format == "bundle-static-int8"
    assert manifest.details == {"calibration": {"num_samples": 3, "languages": ["en", "da"]}}
    assert manifest.made_by.operation == "quantize static-int8"
    assert manifest.made_by.options == {
        "ranges": "percentile",
        "percentile": None,
        "smoothing": 0.65,
        "max_samples": 3,
    }
    again = lingolite(
        "quantize", "--model", "made", "--method", "static-int8", "--calibration", "test.tsv", "--out", "x"
    )
    assert again.code == 2
    assert "is of format bundle-static-int8, and quantizer `static-int8` reads" in again.err
    assert "take the float bundle that it was made from" in again.err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("percentile=99", None),
        ("range=entropy", "did you mean `ranges`?"),
        ("ranges=max", "min-max"),
        ("smoothing=2", "expected `float` <= 1"),
    ],
)
def test_options_of_static_int8_are_checked_before_any_work(
    lingolite: Command, project: Path, option: str, message: str | None
) -> None:
    before = contents(project)
    flags = ("--option", option, *(("--option", "ranges=entropy") if message is None else ()))
    outcome = lingolite("quantize", "--method", "static-int8", "--calibration", "test.tsv", *flags, "--out", "made")
    assert outcome.code == 2
    assert (message or 'percentile goes with ranges = "percentile", not "entropy"') in outcome.err
    assert "Traceback" not in outcome.err
    assert contents(project) == before
