"""The reporter `svg`: each figure of the report as a file of its own, for slides and pull requests."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views.charts import standalone_svg
from lingolite_reports.figures import draw
from lingolite_reports.sentences import pairings, run_texts

DIRECTORY = "figures"


class SvgReporter:
    """Writes `figures/NAME.svg`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the figures into `directory` and return their paths."""
        paths = []
        for figures in draw(manifest, pairings(manifest, run_texts(manifest, directory))).values():
            for figure in figures:
                path = directory / DIRECTORY / f"{figure.name}.svg"
                write_atomic(path, standalone_svg(figure.svg).encode())
                paths.append(path)
        return paths
