"""What a report says first, and that it says nothing twice: file, commit, budgets; and which sentences have faults."""

from __future__ import annotations

import re

import msgspec
import pytest
from lingolite_reports.faults import faults_table
from lingolite_reports.html import render_html
from lingolite_reports.markdown import render_markdown
from lingolite_reports.results import gauge_name

from lingolite_cli.evaluation.faults import FaultCounts, TranslatedSentence, compare_faults
from lingolite_cli.plugins.extras import Extra
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.revision import Revision


def with_faults(manifest: RunManifest, *faults: FaultCounts) -> VerifyResult:
    (verified,) = (step.result for step in manifest.steps if isinstance(step.result, VerifyResult))
    return msgspec.structs.replace(verified, faults=list(faults))


def passed(manifest: RunManifest) -> RunManifest:
    steps = [
        msgspec.structs.replace(step, result=msgspec.structs.replace(step.result, verdicts=[]))
        if step.result.verdicts
        else step
        for step in manifest.steps
    ]
    return msgspec.structs.replace(manifest, steps=steps, status="done")


def test_file_and_commit_stand_above_all_figures(manifest: RunManifest) -> None:
    revision = Revision(commit="0123456789abcdef" * 2 + "01234567", is_changed=True)
    known = msgspec.structs.replace(passed(manifest), revision=revision)
    page, text = render_html(known), render_markdown(known)
    assert manifest.shipped is not None
    for document, first in ((page, 'class="facts"'), (text, "| Size |")):
        for told in (manifest.shipped.path, "onnx, dynamic-int8, 7.80 MB", revision.commit, "with uncommitted changes"):
            assert document.index("To ship") < document.index(told) < document.index(first)


def test_file_of_a_run_that_broke_is_not_to_be_shipped(manifest: RunManifest, source: str) -> None:
    assert "<dt>Not to ship</dt>" in source
    assert "To ship" not in render_markdown(manifest)


def test_each_budget_is_shown_once(manifest: RunManifest, source: str) -> None:
    body = source[source.index('<section id="budgets"') : source.index('<section id="quality"')]
    assert body.count("<svg") == len([verdict for _, verdict in manifest.verdicts if verdict.seen is not None])
    assert "<figure>" not in body
    for step, verdict in manifest.verdicts:
        (row,) = (
            row for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL) if f"<code>{verdict.budget}</code>" in row
        )
        assert f'id="{gauge_name(step, verdict.budget)}-' in row
        assert f'<span class="quiet">limit {verdict.limit:g} seen ' in row


def test_without_matplotlib_the_table_has_limits_and_figures(
    manifest: RunManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lingolite_reports.html.PLOTS", Extra(name="plots", modules=("no_such_module",), gives=""))
    page = render_html(manifest)
    assert '<th scope="col" class="number">Limit</th>' in page
    assert "Limit and seen" not in page
    assert '<td class="number" data-label="Seen">7.802</td>' in page


def test_sentences_with_existing_faults_are_numbered(manifest: RunManifest) -> None:
    fault = FaultCounts(kind="loops", reference=150, candidate=152, new=[4, 9], existing=list(range(100, 200)))
    other = FaultCounts(kind="copies", reference=1, candidate=0, new=[])
    table = faults_table(with_faults(manifest, fault, other))
    assert table is not None
    loops, copies = table.rows
    assert loops[:5] == ["loops", "150", "152", "2", "5, 10"]
    assert loops[5] == f"{', '.join(str(number) for number in range(101, 121))} and 130 more"
    assert copies[4:] == ["–", "–"]


def test_existing_faults_are_those_of_both_systems() -> None:
    def made(hypothesis: str) -> TranslatedSentence:
        return TranslatedSentence("Open the green door now", ["Åbn den grønne dør nu"], hypothesis, is_finished=True)

    good, empty = made("Åbn den grønne dør nu"), made("")
    counts = {
        found.kind: found for found in compare_faults([good, empty, empty, good] * 60, [empty, empty, good, good] * 60)
    }
    found = counts["empty"]
    assert (found.reference, found.candidate, len(found.new), found.num_existing) == (120, 120, 60, 60)
    assert found.existing == list(range(1, 240, 4))
