"""What a command shows: data on stdout, everything else on stderr.

Owns the choice between human output, JSON and quiet. rich is imported when the first table or bar is drawn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lingolite_cli.artifact import canonical_json
from lingolite_cli.errors import LingoLiteError

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
            sys.stdout.write(text + "\n")

    def print_json(self, value: Any) -> None:
        """The JSON document, on stdout; silent in human mode."""
        if self.is_json:
            import msgspec

            sys.stdout.write(msgspec.json.format(canonical_json(value), indent=2).decode() + "\n")

    def note(self, text: str) -> None:
        """A remark on stderr."""
        if not self.is_quiet:
            sys.stderr.write(text + "\n")

    def warn(self, text: str) -> None:
        """A warning on stderr, in every mode."""
        sys.stderr.write(f"{_paint('warning', '33;1')}: {text}\n")

    def error(self, error: LingoLiteError) -> None:
        """An error on stderr: what and where, a blank line, the hint."""
        sys.stderr.write(f"{_paint('error', '31;1')}: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"\n{_paint('hint', '36;1')}: {error.hint}\n")

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

        drawn = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, header_style="bold")
        aligned = right.split(",")
        for column in columns:
            drawn.add_column(column, justify="right" if column in aligned else "left", overflow="fold")
        for row in rows:
            drawn.add_row(*(Text.from_ansi(cell) for cell in row))
        self._rich(sys.stdout).print(drawn)

    @contextmanager
    def progress(self, description: str, *, total: int | None) -> Iterator[Progress]:
        """A bar with rate and remaining time on stderr; nothing if stderr is not a terminal, or with `--quiet`."""
        if self.is_quiet or not sys.stderr.isatty():
            yield Progress()
            return
        from rich import progress as bars

        with bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}"),
            bars.TimeRemainingColumn(),
            console=self._rich(sys.stderr),
            transient=True,
        ) as display:
            task = display.add_task(description, total=total, rate="")
            yield _RichProgress(display, task)

    def _rich(self, stream: Any) -> RichConsole:
        from rich.console import Console as RichConsole

        columns = os.environ.get("COLUMNS", "")
        asked = int(columns) if columns.isdecimal() else 0
        width = None if stream.isatty() else asked or 120
        return RichConsole(file=stream, width=width, highlight=False, soft_wrap=False)


class Progress:
    """A bar that is not drawn."""

    def advance(self, amount: int = 1, *, remark: str | None = None) -> None:
        """Count `amount` more finished; `remark` stands where the rate else stands."""

    def track(self, items: Iterable[T]) -> Iterator[T]:
        """`items`, counted as they are taken."""
        for item in items:
            yield item
            self.advance()


class _RichProgress(Progress):
    def __init__(self, display: Any, task: Any) -> None:
        self._display = display
        self._task = task

    def advance(self, amount: int = 1, *, remark: str | None = None) -> None:
        self._display.advance(self._task, amount)
        speed = self._display.tasks[self._task].speed
        self._display.update(self._task, rate=remark or (f"{speed:.1f}/s" if speed else ""))


def _paint(text: str, code: str) -> str:
    if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"


_STATUS_COLOURS = {
    "pass": "32",
    "fail": "31;1",
    "inconclusive": "33",
    "not measured": "31",
    "broken budget": "31;1",
    "failed": "31",
    "interrupted": "33",
}


def status_text(status: str) -> str:
    """The status of a verdict or a run, coloured on a terminal."""
    code = _STATUS_COLOURS.get(status)
    if code is None or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return status
    return f"\033[{code}m{status}\033[0m"
