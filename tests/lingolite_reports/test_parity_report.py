"""What a report says of parity: figures, ranges of positions, and causes where nobody can miss them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest
from lingolite_reports.gauges import draw_gauges
from lingolite_reports.parity_tables import grouped, parity_tables
from lingolite_reports.sections import compose

from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views.charts import style
from lingolite_cli.views.drawing import Figure


def test_causes_are_warned_of_at_the_top(manifest: RunManifest) -> None:
    assert (
        compose(manifest).warnings[0]
        == "shipped on baseline: second opinion, by the pattern: positions are off after the first"
    )


def test_tables_have_causes_logits_probes_and_ranges(manifest: RunManifest) -> None:
    found = {table.caption: table.rows for table in parity_tables(manifest) if table is not None}
    assert found["Second opinion: causes that the pattern of the differences suggests"] == [
        ["shipped on baseline", "positions", "positions are off after the first", "0.04 at 0, 0.7 at 3"]
    ]
    assert found["Parity with the reference's own translations"] == [
        ["shipped on baseline", "98.7 %", "89.3 %", "24,310", "0.414"]
    ]
    assert found["Logits along the reference's translations (KL in nats a token)"] == [
        ["shipped on baseline", "256", "0.812", "0.0412", "15.2", "0.000825", "0.00267", "0.0249"]
    ]
    assert found["The candidate against itself"] == [["shipped on baseline", "padding", "64", "0", "0", "0"]]
    assert [row[1:3] for row in found["Logits: by length of the source, in tokens"]] == [
        ["1 to 8", "300"],
        ["9 to 16", "512"],
    ]
    assert found["Sentences whose logits differ most"] == [
        ["shipped on baseline", "580", "19", "16", "0.333", "0.00229", "9", "–"]
    ]


def test_positions_are_grouped_by_doubling_ranges_with_weighted_means(manifest: RunManifest) -> None:
    result = next(step.result for step in manifest.steps if isinstance(step.result, VerifyResult))
    assert result.parity is not None
    assert result.parity.logits is not None
    last = grouped(result.parity.logits.by_position)[-1]
    assert [(one.first, one.last) for one in grouped(result.parity.logits.by_position)] == [(0, 0), (1, 1), (2, 3)]
    assert last.num_tokens == 300
    assert last.mean_difference == pytest.approx((250 * 0.1 + 50 * 0.7) / 300)
    assert last.max_difference == pytest.approx(9 * 0.7)


def test_figures_show_positions_lengths_and_where_translations_part(figures: dict[str, list[Figure]]) -> None:
    drawn = figures["parity"]
    assert [figure.name for figure in drawn] == [
        "parity-position-verify",
        "parity-length-verify",
        "parity-parting-verify",
    ]
    titles = [element.text for element in ElementTree.fromstring(drawn[2].svg).iter("title")]
    assert titles == ["position 0: 7 sentences", "position 3: 100 sentences"]
    assert "107 sentences (10.7 %)" in drawn[2].caption


def test_what_was_not_measured_is_said(manifest: RunManifest) -> None:
    (section,) = [section for section in compose(manifest).sections if section.key == "parity"]
    assert section.notes == [
        "shipped on baseline: not measured: single tokens: the tokenizer has no vocabulary to read."
    ]


def test_gauge_of_a_drop_has_its_interval(manifest: RunManifest, figures: dict[str, list[Figure]]) -> None:
    """A line from −0.09 to 0.61 across the limit of 0.5, besides the dot."""
    figure = figures["budgets"][0]
    assert (figure.title, figure.caption) == ("? bleu_drop_max", "verify: inconclusive")
    assert "seen 0.24" in figure.svg
    assert "at most 0.5" in figure.svg
    without = msgspec.json.encode(manifest).replace(b'"low":-0.09,"high":0.61', b'"low":null,"high":null', 2)
    with style():
        bare = draw_gauges(msgspec.json.decode(without, type=RunManifest))[0]
    assert len(re.findall("<path", figure.svg)) == len(re.findall("<path", bare.svg)) + 1
