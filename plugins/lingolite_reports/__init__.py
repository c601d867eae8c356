"""The reporters `html`, `markdown`, `junit` and `svg`, as descriptors: their code is imported when a run reports."""

from __future__ import annotations

from lingolite_cli.plugins.extras import PLOTS
from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ReporterSpec


@hookimpl
def lingolite_reporters() -> list[ReporterSpec]:
    """An HTML page, Markdown for pull requests, JUnit cases for CI, and figures as SVG files."""
    return [
        ReporterSpec(
            name="html",
            summary="report.html: one self-contained page, with figures where matplotlib is installed",
            factory="lingolite_reports.html:HtmlReporter",
            requires=("jinja2",),
            install="pip install jinja2",
        ),
        ReporterSpec(
            name="markdown",
            summary="report.md: the same content for a pull request",
            factory="lingolite_reports.markdown:MarkdownReporter",
            requires=("jinja2",),
            install="pip install jinja2",
        ),
        ReporterSpec(
            name="junit",
            summary="junit.xml: steps and budgets as test cases, for CI",
            factory="lingolite_reports.junit:JUnitReporter",
        ),
        ReporterSpec(
            name="svg",
            summary="figures/NAME.svg: the page's figures as files of their own",
            factory="lingolite_reports.svg:SvgReporter",
            requires=("matplotlib",),
            install=PLOTS.install,
        ),
    ]
