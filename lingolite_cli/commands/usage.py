"""How `--help` looks: arguments by their names alone, and as wide as the terminal up to 100 columns."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

MOST_COLUMNS = 100

_TYPE = re.compile(r" <[^<>]*>$")
_BRACES = str.maketrans("", "", "{}")


class Command(TyperCommand):
    """A command whose help names no Python types, as newer versions of Typer do behind arguments."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`RECIPE` for an argument that is needed, which Typer puts into braces."""
        return [piece.translate(_BRACES) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write what is known of arguments and options."""
        rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                rows[parameter.param_type_name].append((_TYPE.sub("", record[0]), record[1]))
        for kind, lines in rows.items():
            if lines:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(lines)
