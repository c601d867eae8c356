"""What a command shows: data on stdout, everything else on stderr.

Owns the choice between human output, JSON and quiet, colours, and that no text of others harms a terminal. rich is
imported when the first table or bar is drawn.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.text.visible import escaped_json, shown, shown_on_a_line

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

T = TypeVar("T")


class Console:
    """Where a command prints.

    Args:
        json: print one JSON document on stdout and nothing human.
        quiet: no progress and no remarks on stderr; errors and warnings still.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.is_json = json
        self.is_quiet = quiet

    def print(self, text: str) -> None:
        """Data for people, on stdout; silent in JSON mode."""
        if not self.is_json:
            _write(sys.stdout, f"{text}\n")

    def print_json(self, value: Any) -> None:
        """The JSON document, on stdout; silent in human mode."""
        if self.is_json:
            import msgspec

            from lingolite_cli.files.digests import canonical_json

            document = msgspec.json.format(canonical_json(value), indent=2).decode()
            # Escaped, a string is the same to whoever parses it; in pipes and files it stays byte by byte.
            sys.stdout.write(f"{escaped_json(document) if sys.stdout.isatty() else document}\n")

    def note(self, text: str) -> None:
        """A remark on stderr."""
        if not self.is_quiet:
            _write(sys.stderr, f"{text}\n")

    def warn(self, text: str) -> None:
        """A warning on stderr, in every mode."""
        _write(sys.stderr, f"{painted('warning', 'bold yellow')}: {text}\n")

    def error(self, error: LingoLiteError) -> None:
        """An error on stderr: what and where, a blank line, the hint."""
        _write(sys.stderr, f"{painted('error', 'bold red')}: {error.message}\n")
        if error.hint:
            _write(sys.stderr, f"\n{painted('hint', 'bold cyan')}: {error.hint}\n")

    def trouble(self, text: str) -> None:
        """What others have written for stderr, line by line: tracebacks, and messages of the command line's parser."""
        _write(sys.stderr, text)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        title: str | None = None,
        right: str = "",
    ) -> None:
        """A table on stdout, full width and never cut; silent in JSON mode.

        Args:
            columns: headings.
            rows: cells as text.
            title: printed above.
            right: headings, separated by commas, whose cells are aligned to the right.
        """
        if self.is_json:
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        heading = None if title is None else Text.assemble(*_pieces(title))
        stream = self._rich(sys.stdout)
        drawn = Table(
            box=SIMPLE_HEAD,
            padding=(0, 1) if stream.width >= _WIDE else (0, 1, 0, 0),
            title=heading,
            title_justify="left",
            pad_edge=False,
            header_style="bold",
        )
        aligned = right.split(",")
        for column in columns:
            justify: Literal["left", "right"] = "right" if column in aligned else "left"
            drawn.add_column(Text.assemble(*_pieces(column)), justify=justify, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text.assemble(*_pieces(cell)) for cell in row))
        stream.print(drawn)

    @contextmanager
    def progress(self, description: str, *, total: int | None) -> Iterator[Progress]:
        """A bar with rate and remaining time on stderr; nothing if stderr is not a terminal, or with `--quiet`."""
        if self.is_quiet or not sys.stderr.isatty():
            yield Progress()
            return
        from rich import progress as bars

        stream = self._rich(sys.stderr)
        with bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=_BAR if stream.width >= _WIDE else _SHORT_BAR),
            bars.TextColumn("{task.fields[count]}", markup=False),
            bars.TextColumn("{task.fields[remark]}", markup=False),
            bars.TimeRemainingColumn(),
            console=stream,
            transient=True,
        ) as display:
            progress = _RichProgress(display, description, total=total)
            yield progress
            progress.show()

    def _rich(self, stream: Any) -> RichConsole:
        from rich.console import Console as RichConsole

        columns = os.environ.get("COLUMNS", "")
        asked = int(columns) if columns.isdecimal() else 0
        width = None if stream.isatty() else asked or 120
        return RichConsole(file=stream, width=width, highlight=False, soft_wrap=False)


_BAR, _SHORT_BAR, _WIDE = 24, 8, 100
"""Columns of a bar, of one in a narrow terminal, and of a terminal that is not: what stands beside it must fit."""
_REDRAWN = 0.1
"""Seconds between two updates: what counts in a tight loop must not wait for its bar."""


class Progress:
    """A bar that is not drawn."""

    is_drawn = False

    def begin(self, part: str, *, total: int | None) -> None:
        """Count from zero again, in another part of the work; the bar's description stays before its name."""

    def weigh(self, work: float) -> None:
        """Let bar and remaining time measure work, of which there is so much; what is counted may differ in cost."""

    def skip(self, amount: int) -> None:
        """Count what was finished before: rate and remaining time go by what is done from now on."""

    def advance(self, amount: int = 1, *, work: float | None = None, remark: str | None = None) -> None:
        """Count more finished.

        Args:
            amount: things.
            work: that they were, where work is measured; `amount` if it is not told.
            remark: stands where the rate else stands.
        """

    def track(self, items: Iterable[T]) -> Iterator[T]:
        """`items`, counted as they are taken."""
        for item in items:
            yield item
            self.advance()


class _RichProgress(Progress):
    is_drawn = True

    def __init__(self, display: Any, description: str, *, total: int | None) -> None:
        self._display = display
        self._description = description
        self._task = display.add_task("", total=total, count="", remark="")
        self._start(description, total)

    def begin(self, part: str, *, total: int | None) -> None:
        self._start(f"{self._description}: {part}", total)

    def _start(self, description: str, total: int | None) -> None:
        self._total, self._done, self._work, self._remark = total, 0, 0.0, ""
        self._done_before, self._is_skipping = 0, False
        self._started = self._shown = time.monotonic()
        text = shown_on_a_line(description)
        self._display.reset(self._task, description=text, total=total, count=self._count, remark="")

    def weigh(self, work: float) -> None:
        self._display.update(self._task, total=work)

    def advance(self, amount: int = 1, *, work: float | None = None, remark: str | None = None) -> None:
        self._done += amount
        self._work += amount if work is None else work
        self._remark = remark or ""
        if time.monotonic() - self._shown > _REDRAWN:
            self.show()

    def skip(self, amount: int) -> None:
        self._done += amount
        self._work += amount
        self._done_before, self._is_skipping = self._done, True
        if time.monotonic() - self._shown > _REDRAWN:
            self.show()

    def show(self) -> None:
        """Draw what was counted."""
        self._shown = time.monotonic()
        if self._is_skipping:  # the bar forgets how fast it was, for that was not work
            self._is_skipping, self._started = False, self._shown
            self._display.reset(self._task, completed=self._work, total=self._total)
        done_now = self._done - self._done_before
        rate = done_now / max(self._shown - self._started, 1e-9)
        remark = self._remark or (f"{rate:,.1f}/s" if done_now else "")
        self._display.update(self._task, completed=self._work, count=self._count, remark=remark)

    @property
    def _count(self) -> str:
        return f"{self._done:,}" if self._total is None else f"{self._done:,}/{self._total:,}"


_END = "\ufdd0"
_BEGIN = {
    "red": "\ufdd1",
    "green": "\ufdd2",
    "yellow": "\ufdd3",
    "bold red": "\ufdd4",
    "bold yellow": "\ufdd5",
    "bold cyan": "\ufdd6",
}
_STYLES = {mark: style for style, mark in _BEGIN.items()}
_CODES = {"red": "31", "green": "32", "yellow": "33", "bold red": "31;1", "bold yellow": "33;1", "bold cyan": "36;1"}
_PAINTED = re.compile(f"([{''.join(_STYLES)}])([^{_END}]*){_END}")


def painted(text: str, style: str) -> str:
    """`text` as the console prints it in colour, where there are colours.

    Colours are marked by noncharacters of Unicode until they are printed. So no terminal escape is ours before, and all
    that are in a text are somebody else's.

    Args:
        text: without colours.
        style: a colour of `_BEGIN`.
    """
    return f"{_BEGIN[style]}{text}{_END}"


def has_colours(stream: Any) -> bool:
    """Whether what is printed there is coloured."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Stretches of a text with their styles, none of which can harm a terminal."""
    end = 0
    for found in _PAINTED.finditer(text):
        yield shown(text[end : found.start()]), ""
        yield shown(found[2]), _STYLES[found[1]]
        end = found.end()
    yield shown(text[end:]), ""


def _write(stream: Any, text: str) -> None:
    is_coloured = has_colours(stream)
    for piece, style in _pieces(text):
        stream.write(f"\033[{_CODES[style]}m{piece}\033[0m" if style and is_coloured else piece)


_STATUS_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "not measured": "red",
    "broken budget": "bold red",
    "failed": "red",
    "interrupted": "yellow",
}


def status_text(status: str) -> str:
    """The status of a verdict or a run, for the console to print in its colour."""
    return painted(status, _STATUS_STYLES[status]) if status in _STATUS_STYLES else status
