"""Files stay short enough to be read in one sitting, and functions short enough to be seen at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 50

_START = re.compile(r"( *)(async def|def|class) ")


@cache
def sources() -> dict[str, str]:
    """The text of every source file of the host, of the plugins and of the tests, by its path."""
    paths = (path for package in ("lingolite_cli", "plugins", "tests") for path in (ROOT / package).rglob("*.py"))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def may_hold_a_long_function(text: str) -> bool:
    """Whether a function starts that far from the next definition that is indented as much or less.

    Only such files are parsed: parsing all of them would take a second.
    """
    lines = text.splitlines()
    starts = [(len(found[1]), found[2], number) for number, line in enumerate(lines) if (found := _START.match(line))]
    open_definitions: list[tuple[int, str, int]] = []
    for indentation, keyword, number in [*starts, (0, "", len(lines))]:
        while open_definitions and open_definitions[-1][0] >= indentation:
            _, opened, start = open_definitions.pop()
            if opened != "class" and number - start > MOST_LINES_OF_A_FUNCTION:
                return True
        open_definitions.append((indentation, keyword, number))
    return False


def function_lengths(text: str) -> Iterator[tuple[str, int]]:
    """Name and lines of every function, from the first statement after its docstring to its end.

    The signature does not count: that of a command declares its options, each with its help.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            statements = node.body[ast.get_docstring(node, clean=False) is not None :]
            last = node.end_lineno or node.lineno
            yield node.name, last + 1 - (statements[0].lineno if statements else last)


def test_no_file_has_more_than_400_lines() -> None:
    lengths = {name: len(text.splitlines()) for name, text in sources().items()}
    assert len(lengths) > 900
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_has_more_than_50_lines() -> None:
    lengths = {
        f"{name}: {function}": length
        for name, text in sources().items()
        if may_hold_a_long_function(text)
        for function, length in function_lengths(text)
    }
    assert len(lengths) > 300
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}
