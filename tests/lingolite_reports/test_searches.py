"""Searches in reports: the tables, the trade-off and the figures as files."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from lingolite_reports import html, markdown
from lingolite_reports.figures import draw
from lingolite_reports.svg import SvgReporter

from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import drop_budget
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.precision_search.figures import Sensitivity, Trial
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.runs.record import RunManifest, StepRecord
from lingolite_cli.runs.step_result import ArtifactSummary

FOUND = ArtifactSummary(path="artifacts/mix", format="bundle-int4", digest="9c" * 32, size_bytes=6_409_250)
SOURCE = ArtifactSummary(path="model", format="bundle", digest="1a" * 32, size_bytes=28_934_112)


def difference(delta: float, half: float, *, num_sentences: int = 1000) -> MetricDifference:
    return MetricDifference(
        metric="chrf",
        reference=68.02,
        candidate=68.02 + delta,
        delta=delta,
        low=delta - half,
        high=delta + half,
        num_sentences=num_sentences,
    )


def trial(name: str, size_mb: float, delta: float, half: float, **layers: str) -> Trial:
    seen = difference(delta, half)
    return Trial(
        name=name,
        higher_is_better=True,
        default="int4",
        layers=layers,
        size_bytes=round(size_mb * 1e6),
        cross_entropy_delta=0.0161,
        difference=seen,
        verdict=judge(drop_budget("chrf"), MeasuredFigures(differences=[seen]), limit=0.3),
    )


@pytest.fixture
def searched(manifest: RunManifest) -> RunManifest:
    """The hand-made run with a search in front."""
    result = SearchResult(
        method="mixed",
        options={"default": "int4", "layers": {"a": "int8"}},
        source=SOURCE,
        artifact=FOUND,
        metric="chrf",
        num_sentences=1000,
        sample_size=200,
        cross_entropy=1.257,
        sensitivities=[
            Sensitivity(
                unit="encoder.embedding",
                precision=precision,
                num_weights=2_048_000,
                saved_bytes=6_879_808,
                cross_entropy_delta=0.00956,
                difference=difference(-0.27, 0.5) if precision == "int4" else None,
            )
            for precision in ("int4", "int8")
        ],
        trials=[
            trial("uniform int4", 5.0, -0.29, 0.38),
            trial("uniform int8", 7.79, -0.05, 0.16),
            trial("mix 1", 6.41, -0.01, 0.27, a="int8"),
        ],
        chosen="mix 1",
    )
    record = StepRecord(
        id="mix", uses="search", status="done", seconds=300.0, key="7f" * 32, plugins=[], inputs={}, result=result
    )
    return msgspec.structs.replace(manifest, steps=[record, *manifest.steps])


def test_configurations_stand_by_size_with_their_verdicts(searched: RunManifest) -> None:
    text = markdown.render_markdown(searched)
    rows = [line for line in text.splitlines() if re.match(r"\| (uniform|mix 1)", line)]
    assert [row.split("|")[1].strip() for row in rows] == ["uniform int4", "mix 1 (chosen)", "uniform int8"]
    cells = [cell.strip() for cell in rows[1].split("|")[1:-1]]
    assert cells[1:6] == ["6.41", "68.01", "−0.01", "−0.28 to +0.26", r"\+0.0161"]
    assert cells[6:] == ["✅ pass", "int4; a int8"]
    assert "⚠️ inconclusive" in rows[0]
    assert "| `encoder.embedding` | 2,048,000 | int8 | 6.88 | \\+0.0096 | – | – |" in text


def test_the_artifact_is_named_after_its_step(searched: RunManifest) -> None:
    assert re.search(r"\| `mix` \| bundle-int4 \| 6\.41 \|", markdown.render_markdown(searched))


def test_the_plot_names_uniform_precisions_and_what_was_chosen(searched: RunManifest) -> None:
    searched = msgspec.structs.replace(searched, steps=searched.steps[:1])  # drawing the others takes seconds
    (figure,) = draw(searched)["search"]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg)
    assert {"int4", "int8", "chosen", "MB", "chrf"} <= set(texts)
    assert figure.svg in html.render_html(searched)


def test_figures_as_files_are_whole_documents_in_colours_of_their_own(searched: RunManifest, tmp_path: Path) -> None:
    not_timed = [step for step in searched.steps if step.uses != "benchmark"]  # which has most of the figures
    searched = msgspec.structs.replace(searched, steps=not_timed)
    paths = SvgReporter(options=NoOptions()).report(searched, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in paths}
    assert len(names) == len(paths) > 5
    assert len(paths) == sum(len(figures) for figures in draw(searched).values())
    assert "figures/trade-off-mix.svg" in names
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text
        assert "currentColor" not in text
    before = {path: path.read_bytes() for path in paths}
    SvgReporter(options=NoOptions()).report(searched, tmp_path)
    assert {path: path.read_bytes() for path in paths} == before
