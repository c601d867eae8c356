"""The page: what it says, that it needs nothing else, and that nobody's text becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from lingolite_reports import lingolite_reporters
from lingolite_reports.figures import drop_bounds
from lingolite_reports.html import HtmlReporter, render_html
from lingolite_reports.sections import compose

from lingolite_cli.benchmark.figures import Round, TimedSystem, Timing
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.plugins.specs import Goal, NoOptions, merit
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.text.visible import shown
from lingolite_cli.views.drawing import Figure
from tests.lingolite_reports.conftest import SENTENCES

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Text, tags and references of a page; refuses a tag that closes out of order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = {name: value or "" for name, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        self.references += [given[name] for name in ("href", "src", "xlink:href", "action") if name in given]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.texts += [" "] if tag in ("th", "td", "dt", "dd") else []

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)


def test_page_opens_with_the_verdict_and_names_each_budget(manifest: RunManifest, source: str) -> None:
    text = Page(source).text
    banner = text.index("Broken budget")
    assert "2 of 4 budgets broken" in text
    assert banner < text.index("about 2,000 sentences would settle it") < text.index("this CPU has no VNNI")
    for _, verdict in manifest.verdicts:
        assert f"{verdict.budget} {verdict.status}" in text
        assert verdict.why in text


def test_page_shows_scores_intervals_parity_speed_steps_and_provenance(source: str) -> None:
    text = Page(source).text
    for expected in (
        "Size 7.80 MB 0.27× of 28.9 MB",
        "bleu 31.18 −0.24, 95 % interval −0.61 to +0.09",
        "Parity 98.7 % of tokens ranked first; 89.3 % of sentences the same",
        "Speed of onnx 8.96× eager at batch 1; 1,904 tokens/s; noisy",
        "−0.61 to +0.09",
        "98.7 % 89.3 % 24,310 0.414",
        "onnx 1 1,904 8.96× noisy: 8.65× to 9.29× 11.0 25.2 32.0",
        "onnx 0.41 0.574 4.73 136 7.80",
        "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
        "int8 quantize cached 0.0 s",
        "cached (lingolite 0.1.0)",
        "torch 2.13.0, onnxruntime 1.32.0",
        "3c" * 32,
        "4d" * 32,
        '"backend": "cached"',
    ):
        assert expected in text


def test_sentences_are_text_and_never_markup(source: str) -> None:
    page = Page(source)
    assert page.tags.count("script") == source.count("<script") == 1  # ours
    assert "Press <script>alert('x')</script> & wait | then `quit`." in page.text


def test_words_that_differ_are_marked_on_both_sides(source: str) -> None:
    assert "<del>derefter</del>" in source
    assert "<ins>så</ins>" in source


def test_page_needs_nothing_but_itself(source: str) -> None:
    page = Page(source)
    assert page.references
    outside = [reference for reference in page.references if not reference.startswith(("#", "data:,"))]
    assert outside == []
    assert re.findall(r"https?://|@import|url\((?!#)", source) == []


def test_links_inside_the_page_lead_somewhere(source: str) -> None:
    page = Page(source)
    targets = {reference[1:] for reference in page.references if reference.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", source))
    assert targets <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_tables_have_captions_and_scoped_headings(source: str) -> None:
    page = Page(source)
    assert page.tags.count("caption") == page.tags.count("table") > 5
    assert re.findall(r"<th(?! scope)(?=[ >])", source) == []


def test_rounds_behind_a_verdict_are_told_by_their_medians(manifest: RunManifest) -> None:
    rounds = [
        Round(
            load_seconds=0.1 * place,
            cold_start_seconds=0.2 * place,
            first_token_ms=2.0 * place,
            latency_p50_ms=5.0 * place,
            latency_p95_ms=9.0 * place,
            latency_p99_ms=11.0 * place,
            tokens_per_second=1000.0 * place,
            peak_memory_mb=None if place == 3 else 100.0 * place,
        )
        for place in (1, 2, 3)
    ]
    timing = Timing(num_sentences=64, batch_size=1, threads=1, systems=[TimedSystem(name="onnx", rounds=rounds)])
    (verify,) = [step for step in manifest.steps if isinstance(step.result, VerifyResult)]
    steps = [msgspec.structs.replace(verify, result=msgspec.structs.replace(verify.result, timing=timing))]
    (section,) = [
        section
        for section in compose(msgspec.structs.replace(manifest, steps=steps)).sections
        if section.key == "speed"
    ]
    assert section.tables[0].rows == [
        ["onnx", "3", "0.2", "0.4", "4", "10", "18", "22", "2,000", "150"],
    ]


def test_closest_budget_is_that_with_the_least_room(manifest: RunManifest) -> None:
    """Of 5 points below 100 % a parity of 98.7 % uses a quarter, of 12 MB 7.8 are two thirds."""
    (verify,) = [step for step in manifest.steps if isinstance(step.result, VerifyResult)]
    kept = [verdict for verdict in verify.result.verdicts if verdict.status == "pass"]
    steps = [msgspec.structs.replace(verify, result=msgspec.structs.replace(verify.result, verdicts=kept))]
    report = compose(msgspec.structs.replace(manifest, status="done", steps=steps))
    assert report.reasons == ["The closest was verify.size_mb_max: 7.802 MB is within the limit of 12 MB"]


def test_sections_without_content_vanish(small_manifest: RunManifest) -> None:
    page = Page(render_html(small_manifest))
    assert "The run is done; its recipe sets no budget" in page.text
    assert {"quality", "size", "steps", "provenance"} <= set(page.ids)
    assert not {"budgets", "speed", "sentences"} & set(page.ids)
    nothing = msgspec.structs.replace(small_manifest, steps=[])
    assert {"quality", "size"}.isdisjoint(Page(render_html(nothing)).ids)


def test_verification_alone_can_be_reported(manifest: RunManifest) -> None:
    alone = [step for step in manifest.steps if isinstance(step.result, VerifyResult)]
    page = Page(render_html(msgspec.structs.replace(manifest, steps=alone)))
    assert "−0.61 to +0.09" in page.text


def test_allowed_inconclusive_is_not_a_plain_pass(manifest: RunManifest) -> None:
    source = msgspec.json.encode(manifest).replace(b'"allowed":false', b'"allowed":true')
    changed = msgspec.json.decode(source, type=RunManifest)
    steps = [step for step in changed.steps if step.uses != "benchmark"]
    text = Page(render_html(msgspec.structs.replace(changed, status="done", steps=steps))).text
    assert "Passed, but inconclusive" in text
    assert "inconclusive (allowed)" in text


def test_figures_are_whole_and_take_the_colours_of_the_page(figures: dict[str, list[Figure]]) -> None:
    assert {key: len(found) for key, found in figures.items()} == {
        "budgets": 4,
        "parity": 3,
        "quality": 2,
        "size": 2,
        "speed": 5,
    }
    for figure in (figure for found in figures.values() for figure in found):
        assert ElementTree.fromstring(figure.svg).tag == "svg"
        assert "currentColor" in figure.svg
        assert set(re.findall(r"#[0-9a-f]{6}\b", figure.svg)) <= {"#ffffff"}
    labels = " ".join(figures["size"][0].svg.split())
    assert ">int8</text>" in labels
    assert ">7.80</text>" in labels


@pytest.mark.parametrize(
    ("goal", "expected"), [("higher", [30.92]), ("lower", [31.92]), (30.0, [30.0 - 1.92, 30.0 + 1.92])]
)
def test_budget_of_a_drop_is_drawn_where_the_candidate_would_have_lost_it(goal: Goal, expected: list[float]) -> None:
    difference = MetricDifference(metric="any", reference=31.42, candidate=31.0, delta=-0.42, goal=goal)
    bounds = drop_bounds(difference, 0.5)
    assert bounds == pytest.approx(expected)
    for bound in bounds:
        lost = merit(difference.reference, goal) - merit(bound, goal)
        assert lost == pytest.approx(0.5)


def test_one_manifest_gives_one_page_in_every_process(manifest: RunManifest, source: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    program = (
        "import sys, msgspec; from lingolite_reports.html import render_html;"
        "from lingolite_cli.runs.record import RunManifest;"
        "data = open('manifest.json', 'rb').read();"
        "sys.stdout.buffer.write(render_html(msgspec.json.decode(data, type=RunManifest)).encode())"
    )
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert other == source.encode()


def test_reporter_replaces_its_file_and_leaves_no_other(manifest: RunManifest, source: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    reporter = HtmlReporter(options=NoOptions())
    assert reporter.report(manifest, tmp_path) == [tmp_path / "report.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == source


def test_descriptors_import_nothing_heavy() -> None:
    program = (
        "import sys, lingolite_reports; lingolite_reports.lingolite_reporters();"
        "print(sorted({'matplotlib', 'jinja2', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert [spec.name for spec in lingolite_reporters()] == ["html", "markdown", "junit", "svg"]


def test_policy_lets_our_script_run_and_nothing_else(whole_source: str) -> None:
    page = Page(whole_source)
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', whole_source)
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert policy == [
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ]
    assert not re.findall(r"""<[^>]* on\w+=["']""", whole_source), "a handler in an attribute would not run"


def test_hostile_sentences_stay_in_their_element(whole_source: str) -> None:
    page = Page(whole_source)
    assert page.tags.count("script") == whole_source.count("<script") == whole_source.count("</script") == 2
    assert "img" not in page.tags
    assert "\x00" not in whole_source
    (text,) = json.loads(page.scripts[1])["texts"]
    assert text["sources"] == [shown(row[0]) for row in SENTENCES]
    assert text["references"] == [[shown(row[1])] for row in SENTENCES]
    assert shown(whole_source) == whole_source, "nothing in the page acts unseen"


def test_page_with_sentences_has_ids_once_and_labels_for_what_one_can_change(whole_source: str) -> None:
    page = Page(whole_source)
    assert len(page.ids) == len(set(page.ids))
    assert {"browser", "results", "count", "more", "theme", "sentence-data"} <= set(page.ids)
    labelled = re.findall(r"<label[^>]*>.*?</label>", whole_source, flags=re.DOTALL)
    assert sum("<select" in label or "<input" in label for label in labelled) == len(labelled) == 5
    assert re.findall(r"https?://|@import", whole_source) == []


def test_page_is_small(whole_source: str) -> None:
    assert len(whole_source.encode()) < 300_000


@pytest.mark.parametrize("num_finished", [0, 2])
def test_run_that_stopped_says_so_before_all_else(stopped_manifest: RunManifest, num_finished: int) -> None:
    page = render_html(msgspec.structs.replace(stopped_manifest, steps=stopped_manifest.steps[:num_finished]))
    text = Page(page).text
    banner = text.index("✗ Stopped by an error An error at `onnx` ended the run")
    assert banner < text.index("cannot write <script>alert('x')") < text.index("Hint: choose 17")
    assert text.index("Hint: choose 17") < text.index("Budgets that were not reached: verify.bleu_drop_max")
    assert '<div class="banner stopped">' in page
    assert text.count("not reached") == 1 + 5 - num_finished
