"""A table of a page, as text: HTML and Markdown render the same ones.

Owns what a table is. The modules beside it build them: a builder returns None where the run has nothing to show.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["text", "number", "status", "code"]


class Column(msgspec.Struct, frozen=True):
    """A heading, and the kind of the cells below it; `is_drawn` where the figure of a row shows them, if it has one."""

    label: str
    kind: Kind = "text"
    is_drawn: bool = False


class Table(msgspec.Struct, frozen=True):
    """Rows of text. The first cell of a row is its heading. `is_folded` tables are details.

    `figures` are the names of what draws the cells of each row, where pages have figures.
    """

    caption: str
    columns: list[Column]
    rows: list[list[str]]
    is_folded: bool = False
    figures: list[str] = []
