"""Drawings as elements of a page and as files: colours, ids, tips, and labels that say what they mean."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lingolite_cli.views.charts import (
    DAYLIGHT,
    SERIES,
    canvas,
    inline_svg,
    scale_by_tens,
    standalone_svg,
    start_at_zero,
    style,
    tip,
)

LABEL = "1 $ < 2 $ & <b>"


def drawn() -> str:
    with style():
        drawing, axes = canvas(2)
        axes.plot(10, 1, "o", color=SERIES[0], gid=tip(0))
        axes.plot(1000, 2, "o", color=SERIES[1], gid=tip(1))
        scale_by_tens(axes, "x")
        axes.set_title(LABEL)
        return inline_svg(drawing, "dots", tips={0: "first: 10 < 20", 1: "second"})


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.tag == "text"]


def test_element_takes_the_colours_of_its_page_and_is_the_same_each_time() -> None:
    svg = drawn()
    assert svg == drawn()
    assert {"currentColor", "var(--muted)", "var(--line)", "var(--series-1)", "var(--series-2)"} <= {
        name
        for name in ("currentColor", "var(--muted)", "var(--line)", "var(--series-1)", "var(--series-2)")
        if name in svg
    }
    assert "#0" not in svg


def test_ids_and_what_refers_to_them_begin_with_the_name_of_the_figure() -> None:
    root = ElementTree.fromstring(drawn())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert ids
    assert all(str(name).startswith("dots-") for name in ids)
    used = {element.get("href") for element in root.iter() if element.get("href")}
    assert used
    assert used <= {f"#{name}" for name in ids}


def test_points_tell_what_they_are() -> None:
    titles = [element.text for element in ElementTree.fromstring(drawn()).iter("title")]
    assert titles == ["first: 10 < 20", "second"]


def test_labels_are_text_and_never_formulas_or_markup() -> None:
    found = texts(drawn())
    assert LABEL in found
    assert {"10", "100", "1,000"} <= set(found)


def test_file_has_a_ground_and_colours_of_its_own() -> None:
    document = standalone_svg(drawn())
    assert ElementTree.fromstring(document).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in document
    assert DAYLIGHT[3] in document


@pytest.mark.parametrize("values", [[57.0, 57.0, 57.4], [3.0, 3.0], [0.2, 900.0]], ids=["flat", "constant", "steep"])
def test_line_that_starts_at_zero_has_room_above_it_however_little_it_varies(values: list[float]) -> None:
    drawing, axes = canvas(5)
    axes.plot(values)
    start_at_zero(axes)
    drawing.draw_without_rendering()
    (_, bottom), (_, highest) = axes.transData.transform([(0, 0), (0, max(values))])
    assert bottom == pytest.approx(axes.bbox.y0)
    half_a_line = 0.5 * axes.lines[0].get_linewidth() * drawing.dpi / 72
    assert axes.bbox.y1 - highest > 2 * half_a_line
