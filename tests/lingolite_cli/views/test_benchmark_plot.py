"""Pictures of a benchmark: bars whose lengths are true, on a page and in files."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from matplotlib.figure import Figure as Canvas

from lingolite_cli.benchmark.figures import LengthBucket
from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.testing.sample_run import sample_run
from lingolite_cli.views.benchmark_plot import plot_benchmark
from lingolite_cli.views.charts import canvas, style
from lingolite_cli.views.speed_figures import speed_charts


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkResult:
    manifest = sample_run(tmp_path_factory.mktemp("run"))
    (found,) = (step.result for step in manifest.steps if isinstance(step.result, BenchmarkResult))
    buckets = [
        LengthBucket(num_tokens=length, system=name, milliseconds=length * cost, ratio=4 / cost, low=3.5, high=4.5)
        for name, cost in (("float", 4.0), ("int8", 1.0))
        for length in (100, 32)
    ]
    return msgspec.structs.replace(found, buckets=buckets)


def test_bars_begin_at_zero_on_a_linear_axis(result: BenchmarkResult) -> None:
    (chart,) = (chart for chart in speed_charts(result, "bench") if chart.name.startswith("throughput"))
    with style():
        axes = Canvas().subplots()
        chart.draw(axes)
    assert axes.get_xscale() == "linear"
    assert axes.get_xlim()[0] == 0
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == [(0, 300.0), (0, 900.0)]
    assert "up to 10 % of the median apart" in chart.caption


def test_times_by_length_begin_at_zero(result: BenchmarkResult) -> None:
    (chart,) = (chart for chart in speed_charts(result, "bench") if chart.name.startswith("times"))
    with style():
        axes = Canvas().subplots()
        chart.draw(axes)
    assert (axes.get_yscale(), axes.get_ylim()[0], axes.get_xlim()[0]) == ("linear", 0, 0)
    assert [list(line.get_ydata()) for line in axes.lines] == [[128.0, 400.0], [32.0, 100.0]]


def test_page_has_the_figures_their_tables_and_both_themes(result: BenchmarkResult, tmp_path: Path) -> None:
    plot_benchmark(result, tmp_path / "speed.html")
    page = (tmp_path / "speed.html").read_text(encoding="utf-8")
    assert re.findall(r"<strong>([^<]*)</strong>", page) == [
        "Tokens per second, batch 1",
        "Milliseconds a sentence by target length, batch 1",
        "Times as fast as float, by target length",
    ]
    assert page.count("<table>") == 3
    assert 'id="theme"' in page
    assert "light-dark(" in page
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)[^\"]*\"|@import|https?:", page) == []
    plot_benchmark(result, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_legends_of_many_systems_leave_the_axes_room(result: BenchmarkResult) -> None:
    """As `quantize --method compare` names them where every engine is installed."""
    names = [f"static-int8-coreml-reference-{number}" for number in range(14)]
    rows = [msgspec.structs.replace(row, latency_quantiles_ms=[1.0, 2.0, 3.0]) for row in result.systems[0].rows]
    systems = [msgspec.structs.replace(result.systems[0], name=name, rows=rows) for name in names]
    buckets = [msgspec.structs.replace(bucket, system=name) for name in names for bucket in result.buckets[:2]]
    charts = speed_charts(msgspec.structs.replace(result, systems=systems, buckets=buckets), "bench")
    assert {chart.name.split("-")[0] for chart in charts} == {"throughput", "latency", "times", "buckets"}
    for chart in charts:
        with style():
            drawing, axes = canvas(chart.rows)
            chart.draw(axes)
            drawing.draw_without_rendering()
            size = axes.get_window_extent().transformed(drawing.dpi_scale_trans.inverted())
        assert size.height > 1, chart.name
        assert size.width > 1.5, chart.name


@pytest.mark.parametrize("name", ["speed.svg", "speed.png", "speed.pdf"])
def test_drawing_has_the_same_figures(result: BenchmarkResult, tmp_path: Path, name: str) -> None:
    plot_benchmark(result, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[name[-3:]])
    if name.endswith("svg"):
        assert b"Tokens per second, batch 1" in data
        assert b"#04040" not in data, "a page's colours, which a file of its own does not have"
