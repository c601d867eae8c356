"""What a report says of a training: its cost, its text and its curves."""

from __future__ import annotations

import msgspec
import pytest
from lingolite_reports.content import Key
from lingolite_reports.figures import draw
from lingolite_reports.html import render_html
from lingolite_reports.markdown import render_markdown

from lingolite_cli.corpora.pairs import TextReport
from lingolite_cli.runs.made_results import TrainResult
from lingolite_cli.runs.record import RunManifest, StepRecord
from lingolite_cli.runs.step_result import ArtifactSummary
from lingolite_cli.training.metrics import CurvePoint
from lingolite_cli.views.drawing import Figure

RESULT = TrainResult(
    source=None,
    artifact=ArtifactSummary(path="artifacts/train", format="bundle", digest="7a" * 32, size_bytes=29_040_000),
    texts=[
        TextReport(
            name="pairs.tsv.gz",
            num_rows=1_203,
            num_pairs=1_198,
            num_short=311,
            bad={"over-long": 5},
            first_bad={"over-long": "pairs.tsv.gz, line 9"},
        )
    ],
    num_steps=1_500,
    num_epochs=2,
    num_tokens=4_711_000,
    minutes=61.0,
    loss=2.0625,
    ended_by="max_steps",
    weights="mean of 5",
    metric="chrf",
    dev_score=58.25,
    metrics="training/train.jsonl",
    curve=[
        CurvePoint(step=1, loss=8.5),
        CurvePoint(step=750, loss=2.5),
        CurvePoint(step=750, dev_score=51.5),
        CurvePoint(step=1_500, loss=2.0625),
        CurvePoint(step=1_500, dev_score=57.5),
    ],
)


@pytest.fixture
def trained(manifest: RunManifest) -> RunManifest:
    record = StepRecord(
        id="train", uses="train", status="done", seconds=3_660.0, key="8b" * 32, plugins=[], inputs={}, result=RESULT
    )
    return msgspec.structs.replace(manifest, status="done", steps=[record])


def test_cost_text_and_outcome_are_told(trained: RunManifest) -> None:
    for page in (render_html(trained), render_markdown(trained)):
        for said in ("4,711,000", "chrf 58.25", "mean of 5", "1,198", "5 over-long"):
            assert said in page


def test_loss_and_dev_score_have_a_curve_each(trained: RunManifest) -> None:
    titles = [figure.title for figure in draw(trained)["training"]]
    assert titles == ["train: loss", "train: dev chrf"]
    assert 'id="training"' in render_html(trained)


def test_without_a_dev_text_there_is_the_loss_alone(trained: RunManifest) -> None:
    alone = msgspec.structs.replace(RESULT, metric=None, dev_score=None, curve=RESULT.curve[:2])
    record = msgspec.structs.replace(trained.steps[0], result=alone)
    figures = draw(msgspec.structs.replace(trained, steps=[record]))
    assert [figure.title for figure in figures["training"]] == ["train: loss"]


def test_without_a_training_nothing_is_said(figures: dict[Key, list[Figure]], source: str) -> None:
    assert "training" not in figures
    assert 'id="training"' not in source
