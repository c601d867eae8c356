"""The cases that CI servers read: what fails, what is skipped, and that any reader can read it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
from lingolite_reports.junit import JUnitReporter, render_junit

from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest

ORDER = ["properties", "testcase", "system-out", "system-err"]


def suites(manifest: RunManifest) -> dict[str, ElementTree.Element]:
    return {suite.attrib["name"]: suite for suite in ElementTree.fromstring(render_junit(manifest))}


def cases(suite: ElementTree.Element) -> dict[str, str]:
    """Names and outcomes."""
    found = {}
    for case in suite.iter("testcase"):
        assert case.attrib["classname"] == suite.attrib["name"]
        found[case.attrib["name"]] = "/".join(child.tag for child in case) or "passed"
    return found


def test_steps_and_budgets_are_cases(manifest: RunManifest) -> None:
    found = suites(manifest)
    assert list(found) == [f"mobile.{step.id}" for step in manifest.steps]
    assert cases(found["mobile.int8"]) == {"quantize": "passed"}
    assert cases(found["mobile.verify"]) == {
        "verify": "passed",
        "bleu_drop_max": "failure",
        "size_mb_max": "passed",
        "parity_min": "passed",
    }
    assert cases(found["mobile.speed"]) == {"benchmark": "passed", "latency_p95_ms_max": "failure"}


def test_failure_has_the_numbers(manifest: RunManifest) -> None:
    found = suites(manifest)
    too_slow = found["mobile.speed"].find(".//failure")
    assert too_slow is not None
    assert too_slow.attrib == {"type": "fail", "message": "25.21 ms is outside the limit of 20 ms"}
    assert too_slow.text == ("latency_p95_ms_max fail: limit 20, seen 25.2101: 25.21 ms is outside the limit of 20 ms")
    doubtful = found["mobile.verify"].find(".//failure")
    assert doubtful is not None
    assert doubtful.attrib["type"] == "inconclusive"
    assert "about 2,000 sentences would settle it" in doubtful.attrib["message"]


def test_allowed_inconclusive_is_skipped_with_its_reason(manifest: RunManifest) -> None:
    source = msgspec.json.encode(manifest).replace(b'"allowed":false', b'"allowed":true')
    suite = suites(msgspec.json.decode(source, type=RunManifest))["mobile.verify"]
    assert cases(suite)["bleu_drop_max"] == "skipped"
    skipped = suite.find(".//skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("inconclusive, which the recipe allows: bleu fell by 0.24")
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("0", "1")


def test_budget_that_was_not_measured_is_a_failure(manifest: RunManifest) -> None:
    result = next(step.result for step in manifest.steps if isinstance(step.result, VerifyResult))
    verdicts = [msgspec.structs.replace(result.verdicts[1], status="not measured", seen=None)]
    steps = [
        msgspec.structs.replace(step, result=msgspec.structs.replace(result, verdicts=verdicts))
        for step in manifest.steps
        if step.uses == "verify"
    ]
    failure = suites(msgspec.structs.replace(manifest, steps=steps))["mobile.verify"].find(".//failure")
    assert failure is not None
    assert failure.attrib["type"] == "not measured"
    assert "seen nothing" in str(failure.text)


def test_counts_and_times_add_up(manifest: RunManifest) -> None:
    for suite, step in zip(suites(manifest).values(), manifest.steps, strict=True):
        outcomes = list(cases(suite).values())
        assert int(suite.attrib["tests"]) == len(outcomes)
        assert int(suite.attrib["failures"]) == outcomes.count("failure")
        assert int(suite.attrib["skipped"]) == outcomes.count("skipped")
        assert suite.attrib["errors"] == "0"
        assert float(suite.attrib["time"]) == sum(float(case.attrib["time"]) for case in suite.iter("testcase"))
        assert float(suite.attrib["time"]) == round(step.seconds, 3)


def test_what_readers_need_is_there_in_the_order_that_schemas_want(manifest: RunManifest) -> None:
    root = ElementTree.fromstring(render_junit(manifest))
    assert root.attrib == {}
    for number, suite in enumerate(root):
        assert suite.attrib.keys() == {
            *("id", "name", "package", "hostname", "timestamp", "time", "tests", "failures", "errors", "skipped")
        }
        assert suite.attrib["id"] == str(number)
        tags = [child.tag for child in suite]
        assert tags == sorted(tags, key=ORDER.index)
        assert set(tags) == set(ORDER)
        assert suite.find("properties/property[@name='run']").attrib["value"] == manifest.id  # type: ignore[union-attr]
    starts = [suite.attrib["timestamp"] for suite in root]
    assert starts[:2] == ["2026-01-02T03:04:05", "2026-01-02T03:05:06"]
    assert starts == sorted(starts)


def test_warnings_and_the_cache_are_told(manifest: RunManifest) -> None:
    found = suites(manifest)
    assert "MatMulInteger saturates here" in str(found["mobile.shipped"].findtext("system-err"))
    assert found["mobile.int8"].findtext("system-out") == "taken from the cache"
    assert "interval of the difference −0.61 to +0.09" in str(found["mobile.verify"].findtext("system-out"))


def test_characters_that_xml_has_not_are_written_out(manifest: RunManifest) -> None:
    hostile = msgspec.structs.replace(manifest, recipe_path="a\x00b\x1b[31m<&>\ud800\ufffe")
    document = ElementTree.fromstring(render_junit(hostile))
    assert document.find(".//property[@name='recipe']").attrib["value"] == (  # type: ignore[union-attr]
        r"a\x00b\x1b[31m<&>\ud800\ufffe"
    )


def test_reporter_writes_one_file_and_the_same_again(manifest: RunManifest, tmp_path: Path) -> None:
    assert JUnitReporter(options=NoOptions()).report(manifest, tmp_path) == [tmp_path / "junit.xml"]
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]
    assert (tmp_path / "junit.xml").read_bytes() == render_junit(manifest)


def test_step_that_stopped_is_an_error_and_what_it_kept_from_running_is_skipped(stopped_manifest: RunManifest) -> None:
    found = suites(stopped_manifest)
    assert {name: cases(suite) for name, suite in found.items()} == {
        "mobile.baseline": {"evaluate": "passed"},
        "mobile.int8": {"quantize": "passed"},
        "mobile.onnx": {"export": "error"},
        "mobile.shipped": {"evaluate": "skipped"},
        "mobile.verify": {"verify": "skipped", "bleu_drop_max": "skipped"},
        "mobile.speed": {"benchmark": "skipped"},
    }
    error = found["mobile.onnx"].find(".//error")
    assert error is not None
    assert error.attrib == {"type": "LingoLiteError", "message": "cannot write <script>alert('x')</script> | *opset* 3"}
    assert str(error.text).endswith("| *opset* 3\n\nhint: choose 17")
    counts = ("tests", "errors", "failures", "skipped", "time")
    assert [found["mobile.onnx"].attrib[name] for name in counts] == ["1", "1", "0", "0", "4.500"]
    assert [found["mobile.verify"].attrib[name] for name in counts] == ["2", "0", "0", "2", "0.000"]


def test_error_after_the_last_step_is_a_case_of_its_own(manifest: RunManifest, stopped_manifest: RunManifest) -> None:
    assert stopped_manifest.stop is not None
    stop = msgspec.structs.replace(stopped_manifest.stop, where="while its files were written", step=None)
    late = suites(msgspec.structs.replace(stopped_manifest, steps=manifest.steps, stop=stop))
    assert list(late)[-1] == "mobile.run"
    assert cases(late["mobile.run"]) == {"run": "error"}
