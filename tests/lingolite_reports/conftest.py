"""A hand-made run: evaluate, quantize, export, evaluate, verify, benchmark, report."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from lingolite_reports.content import Key
from lingolite_reports.figures import draw
from lingolite_reports.html import render_html
from lingolite_reports.sentences import run_texts

from lingolite_cli.environment import Environment
from lingolite_cli.runs.made_results import ExportResult, QuantizeResult
from lingolite_cli.runs.record import RunManifest, Stop
from lingolite_cli.runs.results import ReportResult
from lingolite_cli.runs.translations import TranslationRecord, write_translations
from lingolite_cli.views.drawing import Figure
from tests.lingolite_reports.hand_made_results import (
    INT8,
    MODEL,
    SATURATION,
    SHIPPED,
    benchmark,
    evaluation,
    step,
    verification,
)


@pytest.fixture(scope="session")
def manifest() -> RunManifest:
    """Every kind of step, a broken, an inconclusive and two kept budgets, and texts that mean to be markup."""
    return RunManifest(
        name="mobile",
        id="20260102-030405-ab12",
        status="broken budget",
        started="2026-01-02T03:04:05Z",
        seconds=312.4,
        seed=17,
        recipe_path="recipes/mobile.toml",
        recipe={
            "schema": 1,
            "name": "mobile",
            "seed": 17,
            "steps": [{"id": "baseline", "uses": "evaluate", "backend": "cached"}],
        },
        environment=Environment(
            lingolite="0.1.0",
            python="3.11.9",
            platform="Linux-6.1-x86_64",
            cpu="GenuineIntel haswell",
            cpu_features=["avx2", "fma"],
            cores=4,
            threads=1,
            packages={"torch": "2.13.0", "onnxruntime": "1.32.0"},
        ),
        steps=[
            step("baseline", "evaluate", 61.25, evaluation("cached", MODEL, 31.42, 56.07), "cached", "bleu", "chrf"),
            step("int8", "quantize", 0.02, QuantizeResult(method="dynamic-int8", source=MODEL, artifact=INT8)),
            step("onnx", "export", 4.5, ExportResult(format="onnx", source=INT8, artifact=SHIPPED), "onnx"),
            step("shipped", "evaluate", 20.5, evaluation("onnx", SHIPPED, 31.18, 55.93, warnings=[SATURATION])),
            step("verify", "verify", 12.0, verification()),
            step("speed", "benchmark", 201.0, benchmark()),
            step("report", "report", 0.0, ReportResult(reporters=["html", "markdown"])),
        ],
    )


SENTENCES = [
    # source, reference, what the baseline said, what was shipped
    ("Save the file", "Gem filen", "Gem filen", "Gem filen"),
    ("Open the big file now", "Åbn den store fil nu", "Åbn den store fil nu", "Luk den lille fil nu"),
    ("Close the window in the corner please", "Luk vinduet i hjørnet", "Luk vindue i hjørne", "Luk vinduet i hjørnet"),
    (
        "<script>alert('source')</script> & <b>bold</b> </script>",
        "<script>alert('reference')</script>",
        "<img src=x onerror=alert(1)> {{ 7 * 7 }}",
        "</script><script>alert('candidate')</script>",
    ),
    (
        "\u202eright to left\u202c and a \x00 in it",
        "\u05e9\u05dc\u05d5\u05dd \u2028 \x1b[31m",
        "\u05e9\u05dc\u05d5\u05dd",
        "nej",
    ),
    ("x" * 4000 + " is a long word", "y" * 4000, "z" * 4000, "z" * 3999),
    ("Set 12 pages of %s", "12 sider af %s", "12 sider af %s", "13 sider af %s igen igen igen igen"),
]


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's directory with both systems' translations: a win, losses, ties, faults, and texts that mean harm."""
    directory = tmp_path_factory.mktemp("run")
    (directory / "translations").mkdir()
    for place, backend in ((2, "cached"), (3, "onnx")):
        write_translations(
            directory / "translations" / f"{backend}.jsonl",
            [
                TranslationRecord(
                    index=index,
                    source=row[0],
                    references=[row[1]],
                    hypothesis=row[place],
                    tokens=[5, 2],
                    score=-1.0,
                    is_truncated=False,
                    is_finished=True,
                )
                for index, row in enumerate(SENTENCES)
            ],
        )
    return directory


@pytest.fixture(scope="session")
def source(manifest: RunManifest) -> str:
    """The page of a manifest alone: drawing takes a while, so once for all."""
    return render_html(manifest)


@pytest.fixture(scope="session")
def whole_source(manifest: RunManifest, run_directory: Path) -> str:
    """The page of a run, every sentence included."""
    return render_html(manifest, run_texts(manifest, run_directory))


@pytest.fixture(scope="session")
def figures(manifest: RunManifest) -> dict[Key, list[Figure]]:
    return draw(manifest)


@pytest.fixture
def stopped_manifest(manifest: RunManifest) -> RunManifest:
    """A run that an error stopped at its third step, in words that mean to be markup."""
    stop = Stop(
        where="at `onnx`",
        step="onnx",
        seconds=4.5,
        error="LingoLiteError",
        message="cannot write <script>alert('x')</script> | *opset* 3",
        hint="choose 17",
    )
    steps = [{"id": step.id, "uses": step.uses, "budget": {}} for step in manifest.steps]
    steps[4]["budget"] = {"bleu_drop_max": 0.5}
    recipe = {**manifest.recipe, "steps": steps}
    return msgspec.structs.replace(manifest, status="failed", recipe=recipe, steps=manifest.steps[:2], stop=stop)


@pytest.fixture
def small_manifest(manifest: RunManifest) -> RunManifest:
    """One evaluation and no budget: nothing to verify, and no benchmark."""
    return msgspec.structs.replace(manifest, name="small", status="done", seconds=61.25, steps=manifest.steps[:1])
