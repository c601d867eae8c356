"""How `--help` looks, and how wrong usage is told.

Help names arguments by their names alone, and is as wide as the terminal up to 100 columns.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

from lingolite_cli.errors import LingoLiteError, did_you_mean

MOST_COLUMNS = 100

_TYPE = re.compile(r" <[^<>]*>$")
_QUOTED = re.compile(r"(?<!\w)'([^'`]*)'")
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


def usage_error(error: Any) -> LingoLiteError | None:
    """An error of Typer's about the command line, in the form of all others; None where it is no more than the help."""
    text = str(error.format_message()).strip()
    if text.startswith("Usage:"):  # of a group that was called without a command
        return None
    possible = sorted(getattr(error, "possibilities", None) or ())
    if possible:  # its message ends with them in brackets
        text = str(error.message)
    message, _, near = (text[:1].lower() + text[1:]).partition(". Did you mean ")
    message, near = _QUOTED.sub(r"`\1`", message, count=1), _QUOTED.sub(r"`\1`", near)
    if possible and hasattr(error, "option_name"):
        near = did_you_mean(error.option_name, possible).removeprefix("did you mean ")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "lingolite"
    hint = f"see `{command} --help`"
    return LingoLiteError(message.removesuffix("."), hint=f"did you mean {near} Or {hint}" if near else hint)
