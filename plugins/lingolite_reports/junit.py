"""The reporter `junit`: steps and budgets as test cases, in the XML that CI servers read.

A step is a suite. Its first case is that it ran; then there is one for each of its budgets. A budget that breaks the
run is a failure, whatever the reason; an inconclusive one that the recipe allows is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lingolite_cli.artifact import write_atomic
from lingolite_cli.evaluation.verdicts import Verdict
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.recipe.record import BenchmarkResult, EvaluateResult, RunManifest, StepRecord, VerifyResult
from lingolite_reports import formats

FILE_NAME = "junit.xml"

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped (https://www.w3.org/TR/xml/#charsets)."""


class JUnitReporter:
    """Writes `junit.xml`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the cases into `directory` and return their path."""
        path = directory / FILE_NAME
        write_atomic(path, render(manifest))
        return [path]


def render(manifest: RunManifest) -> bytes:
    """The document, UTF-8. It keeps to what both the schema of Ant and that of Jenkins allow."""
    root = Element("testsuites")
    for number, (step, started) in enumerate(zip(manifest.steps, _starts(manifest), strict=True)):
        suite = _suite(step, manifest)
        suite.set("id", str(number))
        suite.set("timestamp", started)
        root.append(suite)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _starts(manifest: RunManifest) -> Iterator[str]:
    """When each step began (UTC), from the start of the run and what the steps before it took."""
    at = datetime.fromisoformat(manifest.started.replace("Z", "+00:00")).replace(tzinfo=None)
    for step in manifest.steps:
        yield at.isoformat(timespec="seconds")
        at += timedelta(seconds=step.seconds)


def _suite(step: StepRecord, manifest: RunManifest) -> Element:
    name = f"{manifest.name}.{step.id}"
    verdicts = step.result.verdicts if isinstance(step.result, VerifyResult | BenchmarkResult) else []
    cases = [_case(name, step.uses, seconds=step.seconds), *(_budget_case(verdict, name) for verdict in verdicts)]
    suite = Element(
        "testsuite",
        _attributes(
            name=name,
            package=manifest.name,
            hostname="localhost",
            time=_seconds(step.seconds),
            tests=str(len(cases)),
            failures=str(sum(case.find("failure") is not None for case in cases)),
            errors="0",
            skipped=str(sum(case.find("skipped") is not None for case in cases)),
        ),
    )
    suite.append(_properties(manifest))
    suite.extend(cases)
    SubElement(suite, "system-out").text = _legal("\n".join([*_remarks(step), *map(_numbers, verdicts)]))
    SubElement(suite, "system-err").text = _legal("\n".join(getattr(step.result, "warnings", [])))
    return suite


def _case(suite: str, name: str, *, seconds: float) -> Element:
    return Element("testcase", _attributes(classname=suite, name=name, time=_seconds(seconds)))


def _budget_case(verdict: Verdict, suite: str) -> Element:
    """It takes no time: the step's own case has all of it."""
    case = _case(suite, verdict.budget, seconds=0.0)
    if verdict.breaks_run:
        failure = SubElement(case, "failure", _attributes(type=verdict.status, message=verdict.why))
        failure.text = _legal(_numbers(verdict))
    elif verdict.status != "pass":
        SubElement(case, "skipped", _attributes(message=f"{verdict.status}, which the recipe allows: {verdict.why}"))
    return case


def _remarks(step: StepRecord) -> list[str]:
    said = ["taken from the cache"] if step.status == "cached" else []
    if isinstance(step.result, EvaluateResult):
        said += [f"{metric} {score.value:.2f}, {score.signature}" for metric, score in step.result.metrics.items()]
    if isinstance(step.result, VerifyResult):
        said += [
            f"{seen.metric} {formats.score(seen.reference)} to {formats.score(seen.candidate)}, "
            f"interval of the difference {formats.interval(seen.low, seen.high)}"
            for seen in step.result.differences
        ]
    return said


def _numbers(verdict: Verdict) -> str:
    seen = "nothing" if verdict.seen is None else f"{verdict.seen:.6g}"
    return f"{verdict.budget} {verdict.status}: limit {verdict.limit:.6g}, seen {seen}: {verdict.why}"


def _properties(manifest: RunManifest) -> Element:
    environment = manifest.environment
    known = {
        "run": manifest.id,
        "recipe": manifest.recipe_path,
        "seed": str(manifest.seed),
        "lingolite": environment.lingolite,
        "python": environment.python,
        "platform": environment.platform,
        "cpu": environment.cpu,
    }
    properties = Element("properties")
    for name, value in known.items():
        SubElement(properties, "property", _attributes(name=name, value=value))
    return properties


def _attributes(**attributes: str) -> dict[str, str]:
    return {name: _legal(value) for name, value in attributes.items()}


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
