"""The reporter `junit`: steps and budgets as test cases, in the XML that CI servers read.

A step is a suite. Its first case is that it ran; then there is one for each of its budgets. A budget that breaks the
run is a failure, whatever the reason; what the recipe allows although it is no pass is skipped. Of a run that stopped,
the step that it was at is an error, and the budgets and steps that were not reached are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lingolite_cli.budgets.budget import Group
from lingolite_cli.budgets.table import find_budget
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.measured_results import EvaluateResult, VerifyResult
from lingolite_cli.runs.record import RunManifest, StepRecord, Stop
from lingolite_cli.text.visible import shown
from lingolite_cli.views import formats

FILE_NAME = "junit.xml"

_SUITES: dict[Group, str] = {"export": ".exported", "reference": ".reference"}
"""What the names of suites end in for budgets that answer another question than whether the model is good enough."""

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, even escaped (https://www.w3.org/TR/xml/#charsets)."""


class JUnitReporter:
    """Writes `junit.xml`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the cases into `directory` and return their path."""
        path = directory / FILE_NAME
        write_atomic(path, render_junit(manifest))
        return [path]


def render_junit(manifest: RunManifest) -> bytes:
    """The document, UTF-8. It keeps to what both the schema of Ant and that of Jenkins allow."""
    root = Element("testsuites")
    suites = [_suite(step, manifest) for step in manifest.steps]
    if manifest.stop is not None:
        suites += _unfinished(manifest, manifest.stop)
    at = datetime.fromisoformat(manifest.started.replace("Z", "+00:00")).replace(tzinfo=None)
    for number, suite in enumerate(suites):
        suite.set("id", str(number))
        suite.set("timestamp", at.isoformat(timespec="seconds"))
        at += timedelta(seconds=float(suite.attrib["time"]))
        root.append(suite)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(step: StepRecord, manifest: RunManifest) -> Element:
    name = f"{manifest.name}.{step.id}"
    verdicts = step.result.verdicts
    cases = [_case(name, step.uses, seconds=step.seconds), *(_budget_case(verdict, name) for verdict in verdicts)]
    out = [*_remarks(step), *map(_numbers, verdicts)]
    return _suite_of(cases, manifest, name=name, out=out, err=getattr(step.result, "warnings", []))


def _unfinished(manifest: RunManifest, stop: Stop) -> Iterator[Element]:
    """A suite for each step that the run did not finish; one of its own for an error beside all steps."""
    if stop.step is None:
        name = f"{manifest.name}.run"
        yield _suite_of([_error_case(stop, name, "run")], manifest, name=name)
    for step in manifest.unfinished:
        name = f"{manifest.name}.{step.id}"
        is_stopped = step.id == stop.step
        first = _error_case(stop, name, step.uses) if is_stopped else _skipped_case(stop, name, step.uses)
        cases = [first, *(_skipped_case(stop, name, budget) for budget in step.budgets)]
        yield _suite_of(cases, manifest, name=name)


def _suite_of(
    cases: list[Element], manifest: RunManifest, *, name: str, out: Sequence[str] = (), err: Sequence[str] = ()
) -> Element:
    suite = Element(
        "testsuite",
        _attributes(
            name=name,
            package=manifest.name,
            hostname="localhost",
            time=_seconds(sum(float(case.attrib["time"]) for case in cases)),
            tests=str(len(cases)),
            failures=str(sum(case.find("failure") is not None for case in cases)),
            errors=str(sum(case.find("error") is not None for case in cases)),
            skipped=str(sum(case.find("skipped") is not None for case in cases)),
        ),
    )
    suite.append(_properties(manifest))
    suite.extend(cases)
    SubElement(suite, "system-out").text = _legal("\n".join(out))
    SubElement(suite, "system-err").text = _legal("\n".join(err))
    return suite


def _case(suite: str, name: str, *, seconds: float) -> Element:
    return Element("testcase", _attributes(classname=suite, name=name, time=_seconds(seconds)))


def _budget_case(verdict: Verdict, suite: str) -> Element:
    """It takes no time: the step's own case has all of it. Limits on the export are a class of their own."""
    question = _SUITES.get(find_budget(verdict.budget).group, "")
    case = _case(f"{suite}{question}", verdict.budget, seconds=0.0)
    if verdict.breaks_run:
        failure = SubElement(case, "failure", _attributes(type=verdict.status, message=verdict.why))
        failure.text = _legal(_numbers(verdict))
    elif verdict.status != "pass":
        SubElement(case, "skipped", _attributes(message=f"{verdict.status}, which the recipe allows: {verdict.why}"))
    return case


def _error_case(stop: Stop, suite: str, name: str) -> Element:
    case = _case(suite, name, seconds=stop.seconds)
    error = SubElement(case, "error", _attributes(type=stop.error, message=stop.message))
    error.text = _legal(stop.said if stop.hint is None else f"{stop.said}\n\nhint: {stop.hint}")
    return case


def _skipped_case(stop: Stop, suite: str, name: str) -> Element:
    case = _case(suite, name, seconds=0.0)
    SubElement(case, "skipped", _attributes(message=f"not reached: the run stopped {stop.where}"))
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
    return _ILLEGAL.sub("\ufffd", shown(text))
