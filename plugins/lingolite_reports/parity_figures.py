"""The figures on parity: differences of logits by position and by length, and where translations diverge."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.evaluation.parity import Parity, ParityBucket
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.charts import DASHES, SERIES, SYSTEMS, canvas, scale_by_tens, tip
from lingolite_cli.views.drawing import Figure, finish
from lingolite_reports.parity_tables import parities

_MOST_STEPS = 4
"""Verifications; more would be too many figures, and the tables are clearer."""


def parity_figures(manifest: RunManifest) -> list[Figure]:
    """Those of each verification, where there are few; drawn under `charts.style`."""
    found = parities(manifest)
    if len(found) > _MOST_STEPS:
        return []
    figures = []
    for step, pair, parity in found:
        of = f" ({pair})" if len(found) > 1 else ""
        figures += [*_differences(step, of, parity), *_divergences(step, of, parity)]
    return figures


def _differences(step: str, of: str, parity: Parity) -> list[Figure]:
    if parity.logits is None:
        return []
    by_position, by_length = parity.logits.by_position, parity.logits.by_source_length
    figures = []
    if len(by_position) > 1:
        figures.append(_draw(f"parity-position-{step}", by_position, of=f"target position{of}"))
    if len(by_length) > 1:
        figures.append(_draw(f"parity-length-{step}", by_length, of=f"source length in tokens{of}"))
    return figures


def _draw(name: str, buckets: Sequence[ParityBucket], *, of: str) -> Figure:
    """The largest and the mean difference; zeros have no place on a logarithmic axis and are left out."""
    drawing, axes = canvas(5)
    axes.grid(visible=True, axis="both")
    places = [(bucket.first + bucket.last) / 2 for bucket in buckets]
    lines = {
        "largest": [bucket.max_difference for bucket in buckets],
        "mean": [bucket.mean_difference for bucket in buckets],
    }
    for number, (kind, values) in enumerate(lines.items()):
        shown = [value if value > 0 else float("nan") for value in values]
        axes.plot(places, shown, DASHES[number], color=SYSTEMS[number], label=kind, linewidth=1.5)
    if any(value > 0 for values in lines.values() for value in values):
        scale_by_tens(axes, "y")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=2)
    caption = "Absolute, along the reference's translations. A rise, or a sudden start, has a cause."
    return finish(drawing, name, title=f"Difference of logits by {of}", caption=caption)


def _divergences(step: str, of: str, parity: Parity) -> list[Figure]:
    if not parity.divergences:
        return []
    drawing, axes = canvas(4)
    axes.grid(visible=True, axis="y")
    tips: dict[int, str] = {}
    for number, found in enumerate(parity.divergences):
        tips[number] = f"position {found.position}: {found.num_sentences:,} sentences"
        (bar,) = axes.bar(found.position, found.num_sentences, width=0.8, color=SERIES[0])
        bar.set_gid(tip(number))
    axes.set_ylabel("sentences")
    parted = sum(found.num_sentences for found in parity.divergences)
    caption = f"{parted:,} sentences ({formats.percent(1 - parity.exact_match)}) part somewhere, translated freely."
    title = f"First other token by target position{of}"
    return [finish(drawing, f"parity-parting-{step}", title=title, caption=caption, tips=tips)]
