"""The table that sets exported formats side by side: what it joins, and when it is there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from lingolite_reports.format_tables import formats_table
from lingolite_reports.markdown import render_markdown

from lingolite_cli.emulation.replaying import PlatformReplay
from lingolite_cli.runs.made_results import ExportResult
from lingolite_cli.runs.measured_results import BenchmarkResult, EvaluateResult, ReplayResult, VerifyResult
from lingolite_cli.runs.record import RunManifest, StepRecord
from lingolite_cli.runs.step_result import ArtifactSummary


def artifact(format: str, digest: str, size_bytes: int) -> ArtifactSummary:
    return ArtifactSummary(path="", format=format, digest=digest, size_bytes=size_bytes, scheme=None)


BUNDLE = artifact("bundle-int8", "b" * 64, 7_000_000)
ONNX = artifact("onnx", "1" * 64, 7_900_000)
LITERT = artifact("litert", "2" * 64, 8_300_000)
DEVICE = artifact("device", "3" * 64, 8_000_000)
PAGE = artifact("web", "4" * 64, 22_000_000)


def record(id: str, uses: str, result: Any) -> StepRecord:
    return StepRecord(id=id, uses=uses, status="done", seconds=1.0, key=None, plugins=[], inputs={}, result=result)


def replayed(platform: str, num_equal: int, why_not: str | None = None) -> PlatformReplay:
    num_goldens = 0 if why_not else 17
    return PlatformReplay(
        platform=platform, processor=platform, num_goldens=num_goldens, num_equal=num_equal, why_not=why_not
    )


@pytest.fixture
def exported(manifest: RunManifest) -> RunManifest:
    """The run of the other tests with its shipped artifact exported to ONNX, LiteRT and a device bundle."""
    changed = []
    for step in manifest.steps:
        result = step.result
        if isinstance(result, EvaluateResult) and step.id == "shipped":
            result = msgspec.structs.replace(result, artifact=ONNX)
        elif isinstance(result, VerifyResult):
            result = msgspec.structs.replace(result, candidate_artifact=ONNX)
        elif isinstance(result, BenchmarkResult):
            last = msgspec.structs.replace(result.systems[-1], artifact=LITERT)
            result = msgspec.structs.replace(result, systems=[*result.systems[:-1], last])
        changed.append(msgspec.structs.replace(step, result=result))
    exports = [
        record(id, "export", ExportResult(format=made.format, source=source, artifact=made))
        for id, source, made in (
            ("graphs", BUNDLE, ONNX),
            ("lite", BUNDLE, LITERT),
            ("app", ONNX, DEVICE),
            ("page", ONNX, PAGE),
        )
    ]
    platforms = [replayed("native", 17), replayed("arm64", 16), replayed("x86-without-vnni", 0, "not prepared")]
    replay = record("devices", "replay", ReplayResult(artifact=DEVICE, platforms=platforms, verdicts=[]))
    in_browser = ReplayResult(artifact=PAGE, platforms=[replayed("native", 17)], verdicts=[])
    steps = [*exports, *changed, replay, record("browser", "replay", in_browser)]
    return msgspec.structs.replace(manifest, steps=steps)


def test_results_are_joined_by_artifact(exported: RunManifest) -> None:
    table = formats_table(exported)
    assert table is not None
    rows = {row[0]: dict(zip([column.label for column in table.columns], row, strict=True)) for row in table.rows}
    assert list(rows)[:4] == ["graphs", "lite", "app", "page"]
    assert rows["graphs"]["Size, MB"] == "7.90"
    assert rows["graphs"]["bleu"] != "–"
    assert rows["graphs"]["Sentences"] != "–"
    assert rows["graphs"]["Tokens/s"] == "–"
    assert rows["lite"]["bleu"] == "–"
    assert rows["lite"]["Tokens/s"] != "–"
    assert rows["lite"]["Verified here"] == "–"
    # What was packed once more counts for its content, a platform counts once, and what was not run does not count.
    for step in ("graphs", "app"):
        assert rows[step]["Verified here"].endswith("17 of 17 goldens on native; 16 of 17 goldens on arm64")


def test_one_format_alone_has_no_table(manifest: RunManifest, exported: RunManifest) -> None:
    assert formats_table(manifest) is None
    alone = [step for step in exported.steps if step.id not in ("lite", "app", "page", "devices", "browser")]
    assert formats_table(msgspec.structs.replace(exported, steps=alone)) is None


def test_the_table_stands_behind_the_budgets(exported: RunManifest) -> None:
    text = render_markdown(exported)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings.index("## Formats") == headings.index("## Budgets") + 1
