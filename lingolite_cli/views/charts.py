"""How figures look, whoever draws them: matplotlib's style, and its SVG made fit to stand inside a page.

Owns colours, type and the way from a canvas to a file or an inline element. What is drawn is the caller's. Colours are
named in a drawing by reserved values, which become the page's CSS variables, so that one figure serves light and dark,
or plain colours in a file of its own. matplotlib is imported by the first figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.extras import PLOTS, require
from lingolite_cli.text.visible import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

RESERVED = ("#010101", "#020202", "#030303", "#040401", "#040402", "#040403", "#040404", "#040405")
"""Reserved values: text, less important text, grids, then the series. They become the colours of a page."""
SERIES = ("C0", "C1", "C2", "C3", "C4")
"""What is shown, as the style colours it; the second marks limits, the third what was chosen."""
SYSTEMS = (SERIES[0], SERIES[2], SERIES[3], SERIES[4], SERIES[1])
"""One colour a system, where several share a figure; the limits' comes last."""
DASHES = ("-", "--", "-.", ":")
"""Lines are told apart by these, too: not everybody sees the colours."""
WIDTH = 4.2
"""Inches: 302 points, what a phone leaves to a figure, so that its text is not scaled down."""

_DAYLIGHT = {
    "currentColor": "#1a1f26",
    "var(--muted)": "#5b6572",
    "var(--line)": "#dde2e8",
    "var(--series-1)": "#2f6fd0",
    "var(--series-2)": "#b3261e",
    "var(--series-3)": "#1b8a5a",
    "var(--series-4)": "#9a5bc4",
    "var(--series-5)": "#b06a00",
}
"""The page's colours in daylight: a file of its own has no page to take them from."""
DAYLIGHT = tuple(_DAYLIGHT.values())
"""The colours of a drawing that matplotlib writes to a file."""
FORMATS = (".svg", ".png", ".pdf")
"""Endings of files that a drawing can be written to."""
PAGE = ".html"
PLOT_FORMATS = (PAGE, *FORMATS)
"""Endings of what `--plot` writes."""
_GROUND = "#ffffff"
_TIP = "tip-"


def check_plot_target(path: Path, *, formats: Sequence[str] = PLOT_FORMATS, example: str = "speed.html") -> None:
    """Refuse a file that cannot be drawn to, before anything is measured.

    Args:
        path: where to.
        formats: endings that can be drawn.
        example: a name that would do.

    Raises:
        LingoLiteError: matplotlib is missing (exit code 4), its ending is of no known format, it is a directory, or
            its directory is missing.
    """
    require(PLOTS, what="`--plot`")
    if path.suffix not in formats:
        raise LingoLiteError(f"{path}: a plot ends in {', '.join(formats)}", hint=f"for example `--plot {example}`")
    if path.is_dir():
        raise LingoLiteError(f"{path} is a directory", hint="name a file")
    if not path.absolute().parent.is_dir():
        raise LingoLiteError(f"no such directory: {path.parent}", hint="make it first")


@contextmanager
def style(colours: Sequence[str] = RESERVED) -> Iterator[None]:
    """Draw as everything here is drawn.

    Args:
        colours: `RESERVED` or `DAYLIGHT`: text, less important text, grids, then the series.
    """
    import matplotlib as mpl
    from matplotlib.rcsetup import cycler

    ink, muted, line, *series = colours
    settings: dict[Any, Any] = {  # Any: matplotlib types its keys as a Literal of all settings
        "svg.fonttype": "none",
        "svg.hashsalt": "lingolite",
        "font.size": 9,
        "text.color": ink,
        "text.parse_math": False,
        "axes.prop_cycle": cycler(color=series),
        "axes.labelcolor": muted,
        "axes.edgecolor": line,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "x",
        "axes.axisbelow": True,
        "grid.color": line,
        "xtick.color": line,
        "xtick.labelcolor": muted,
        "ytick.color": line,
        "ytick.labelcolor": ink,
        "ytick.left": False,
        "legend.frameon": False,
    }
    with mpl.rc_context(settings):
        yield


def ink() -> str:
    """The colour of text, inside `style`."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def muted() -> str:
    """The colour of less important text and of what a figure is compared with, inside `style`."""
    import matplotlib as mpl

    return str(mpl.rcParams["axes.labelcolor"])


def canvas(rows: float) -> tuple[Canvas, Axes]:
    """A figure of the page's width, tall enough for so many rows of text."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(WIDTH, row_height(rows)), layout="constrained")
    return made, made.subplots()


def row_height(rows: float) -> float:
    """Inches of a figure with so many rows of text."""
    return 0.6 + 0.36 * rows


def scale_by_tens(axes: Axes, side: Literal["x", "y"]) -> None:
    """A logarithmic axis with plain numbers at it."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set(**{f"{side}scale": "log"})
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())


def start_at_zero(axes: Axes) -> None:
    """Let the vertical axis begin at 0, and end a twentieth above the highest value that was drawn.

    matplotlib's own margin is a share of the range of the values: above a line that hardly varies it would be thinner
    than the line, whose upper half is then cut off.
    """
    axes.set_ylim(0, 1.05 * axes.dataLim.y1)


def tip(number: int) -> str:
    """The `gid` of an artist that shows a text when pointed at: the one of this number in `inline_svg`."""
    return f"{_TIP}{number}"


def inline_svg(drawing: Canvas, name: str, *, tips: Mapping[int, str] | None = None) -> str:
    """A drawing as an SVG element for a page. The same drawing gives the same text.

    Args:
        drawing: made under `style`.
        name: unlike that of any other figure of the page: its ids begin with it.
        tips: what artists with the gid `tip(number)` say when pointed at.

    Returns:
        An element with the page's colours and no outside name, hidden from screen readers: what it shows must also
        stand beside it, as text.
    """
    import matplotlib as mpl

    buffer = StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawing.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    document = shown(buffer.getvalue())
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:xmlns(?::\w+)?|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    for number, text in (tips or {}).items():
        svg = svg.replace(f'<g id="{tip(number)}">', f"<g><title>{escape(shown(text))}</title>")
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    for colour, variable in zip(RESERVED, _DAYLIGHT, strict=True):
        svg = svg.replace(colour, variable)
    return svg.replace("<svg", '<svg aria-hidden="true"', 1).strip()


def standalone_svg(svg: str) -> str:
    """An inline figure as a document: with a name space, a ground and colours of its own."""
    for name, colour in _DAYLIGHT.items():
        svg = svg.replace(name, colour)
    opening = re.match(r"<svg[^>]*>", svg)
    assert opening is not None, "a figure is an SVG element"
    start = opening[0].replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f'{start}<rect width="100%" height="100%" fill="{_GROUND}"/>{svg[opening.end() :]}\n'
