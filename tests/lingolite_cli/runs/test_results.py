"""What every result of a step can be asked for, whatever its kind."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.corpora.pairs import TextReport
from lingolite_cli.files.digests import canonical_json
from lingolite_cli.runs.directory import with_places
from lingolite_cli.runs.made_results import QuantizeResult, TrainResult
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import StepResult
from lingolite_cli.runs.step_result import ArtifactSummary, TrainingRecord
from lingolite_cli.testing.sample_run import sample_run, sample_stop

ARTIFACT = ArtifactSummary(path="", format="bundle", digest="ab" * 32, size_bytes=5)
TRAINING = TrainingRecord(
    texts=[TextReport(name="train.tsv", num_rows=9, num_pairs=7, num_short=0, bad={}, first_bad={})],
    num_steps=3,
    num_epochs=1,
    num_tokens=40,
    minutes=0.5,
    loss=1.25,
    ended_by="max_steps",
    weights="last",
    metric=None,
    dev_score=None,
    metrics="",
)


def test_each_kind_answers_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    results = {step.id: step.result for step in sample_run(tmp_path).steps}
    made = {id: result.made.format for id, result in results.items() if result.made is not None}
    assert made == {"int8": "bundle-int8"}
    assert {id: list(result.scores) for id, result in results.items() if result.scores} == {
        "baseline": ["bleu"],
        "shipped": ["bleu"],
    }
    assert {id for id, result in results.items() if result.verdicts} == {"verify", "speed"}
    assert [result.training for result in results.values()] == [None] * len(results)


def test_a_result_that_trained_is_or_has_its_training() -> None:
    fields = {name: getattr(TRAINING, name) for name in TRAINING.__struct_fields__}
    trained = TrainResult(source=None, artifact=ARTIFACT, **fields)
    quantized = QuantizeResult(method="qat-int8", source=ARTIFACT, artifact=ARTIFACT, training=TRAINING)
    for result in (trained, quantized):
        assert result.training is not None
        assert result.training.num_steps == 3
        placed = with_places("fit", result, {ARTIFACT.digest: "artifacts/fit"})
        assert placed.training is not None
        assert placed.training.metrics == "training/fit.jsonl"
        assert placed.made is not None
        assert placed.made.path == "artifacts/fit"
        # Cache and manifest hold plain JSON: the same result must come back from it.
        assert msgspec.json.decode(canonical_json(placed), type=StepResult) == placed


def test_translations_are_named_by_their_step(tmp_path: Path) -> None:
    result = sample_run(tmp_path).steps[0].result
    placed = with_places("elsewhere", result, {})
    assert isinstance(placed, EvaluateResult)
    assert placed.translations == "translations/elsewhere.jsonl"


def test_a_stopped_run_knows_its_unfinished_steps_and_which_have_budgets(tmp_path: Path) -> None:
    stopped = sample_stop(tmp_path)
    steps = [
        {**step, "budget": {"size_mb_max": 9}} if step["id"] != "report" else step for step in stopped.recipe["steps"]
    ]
    stopped = msgspec.structs.replace(stopped, recipe={**stopped.recipe, "steps": steps})
    # `quantize` and `evaluate` have no verdicts, so that a table of that name in their recipe means nothing.
    assert [(step.id, step.budgets) for step in stopped.unfinished] == [
        ("int8", ()),
        ("shipped", ()),
        ("verify", ("size_mb_max",)),
        ("speed", ("size_mb_max",)),
    ]


def test_a_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    manifest = sample_run(tmp_path)
    assert msgspec.json.decode(canonical_json(manifest), type=RunManifest) == manifest
