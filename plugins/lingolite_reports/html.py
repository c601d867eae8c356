"""The reporter `html`: one page that needs nothing but itself."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lingolite_cli.artifact import write_atomic
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.recipe.record import RunManifest
from lingolite_reports.figures import draw
from lingolite_reports.sections import compose

FILE_NAME = "report.html"


class HtmlReporter:
    """Writes `report.html`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the page into `directory` and return its path."""
        path = directory / FILE_NAME
        write_atomic(path, render(manifest).encode())
        return [path]


def render(manifest: RunManifest) -> str:
    """The page. Every text of the manifest is escaped; only our own SVG and style sheet are not."""
    templates = Environment(
        loader=PackageLoader("lingolite_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = templates.get_template("report.html.jinja")
    return template.render(report=compose(manifest), figures=draw(manifest))
