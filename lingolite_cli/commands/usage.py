"""How `--help` looks, where options may stand, and how wrong usage is told.

Help names arguments by their names alone, and is as wide as the terminal up to 100 columns. The options of `lingolite`
itself may stand behind a command too.
"""

from __future__ import annotations

import re
from copy import copy
from typing import Any

from typer.core import TyperCommand, TyperGroup

from lingolite_cli.errors import LingoLiteError, did_you_mean

MOST_COLUMNS = 100

_TYPE = re.compile(r" <[^<>]*>$")
_QUOTED = re.compile(r"(?<!\w)'([^'`]*)'")
_BRACES = str.maketrans("", "", "{}")


class _Everywhere:
    """The options of `lingolite` itself, behind a command, and the examples of a command below its help."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Parameters of the command, and hidden ones that are those of `lingolite` itself."""
        own: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        root = ctx.find_root()
        if root is ctx:
            return own
        taken = {option for parameter in own for option in parameter.opts}
        common = [parameter for parameter in root.command.params if parameter.name in COMMON_OPTIONS]
        return [*own, *(_behind(parameter) for parameter in common if not taken & set(parameter.opts))]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write examples, and where to read on, behind what the command has to say itself."""
        super().format_epilog(ctx, formatter)  # type: ignore[misc]
        from lingolite_cli.commands.examples import examples_of

        text = examples_of(ctx.command_path)
        if text:
            formatter.write_paragraph()
            formatter.write(text)


COMMON_OPTIONS = ("verbose", "quiet", "no_plugin", "cache")
"""Parameters of `lingolite` itself that may stand behind a command."""


def _behind(parameter: Any) -> Any:
    """An option of `lingolite` itself as one of a command."""
    found = copy(parameter)
    found.hidden, found.expose_value, found.callback = True, False, _apply
    return found


def _apply(context: Any, parameter: Any, value: Any) -> Any:
    if value and context.obj is not None:
        context.obj = context.obj.with_option(parameter.name, value)
    return value


class Group(_Everywhere, TyperGroup):
    """A group of commands."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and summaries, which are never cut."""
        names = self.list_commands(ctx)
        rows = [(name, self.commands[name].get_short_help_str(limit=1000)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Command(_Everywhere, TyperCommand):
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
    text = text.replace(": Value error, ", ": ", 1)  # pydantic's words, which newer versions of Typer quote
    message, _, near = (text[:1].lower() + text[1:]).partition(". Did you mean ")
    message, near = _QUOTED.sub(r"`\1`", message, count=1), _QUOTED.sub(r"`\1`", near)
    if possible and hasattr(error, "option_name"):
        near = did_you_mean(error.option_name, possible).removeprefix("did you mean ")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "lingolite"
    hint = f"see `{command} --help`"
    return LingoLiteError(message.removesuffix("."), hint=f"did you mean {near} Or {hint}" if near else hint)
