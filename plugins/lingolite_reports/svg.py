"""The reporter `svg`: each figure of the report as a file of its own, for slides and pull requests."""

from __future__ import annotations

import re
from pathlib import Path

from lingolite_cli.artifact import write_atomic
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.recipe.record import RunManifest
from lingolite_reports.figures import draw

DIRECTORY = "figures"

_GROUND = "#ffffff"
_COLOURS = {
    "currentColor": "#1a1f26",
    "var(--muted)": "#5b6572",
    "var(--line)": "#dde2e8",
    "var(--series-1)": "#2f6fd0",
    "var(--series-2)": "#b3261e",
    "var(--series-3)": "#1b8a5a",
    "var(--series-4)": "#9a5bc4",
    "var(--series-5)": "#b06a00",
}
"""Those of a report in daylight: a file of its own has no page to take colours from."""


class SvgReporter:
    """Writes `figures/NAME.svg`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the figures into `directory` and return their paths."""
        paths = []
        for figures in draw(manifest).values():
            for figure in figures:
                path = directory / DIRECTORY / f"{figure.name}.svg"
                write_atomic(path, standalone(figure.svg).encode())
                paths.append(path)
        return paths


def standalone(svg: str) -> str:
    """An inline figure as a document: with a name space, a ground and colours of its own."""
    for name, colour in _COLOURS.items():
        svg = svg.replace(name, colour)
    opening = re.match(r"<svg[^>]*>", svg)
    assert opening is not None, "a figure is an SVG element"
    start = opening[0].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f'{start}<rect width="100%" height="100%" fill="{_GROUND}"/>{svg[opening.end() :]}\n'
