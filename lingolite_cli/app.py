"""The `lingolite` command: its own options, and how every outcome becomes a message and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from lingolite_cli.commands.table import RootGroup
from lingolite_cli.commands.usage import MOST_COLUMNS, usage_error
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError, out_of_memory
from lingolite_cli.process.interruption import end_on_signals
from lingolite_cli.process.streams import loss_of, secure_standard_streams

app = typer.Typer(
    name="lingolite",
    cls=RootGroup,
    help="Take a translation model from checkpoint to phone, and prove that it still translates well.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": MOST_COLUMNS},
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from lingolite_cli.environment import VERSION  # asks for the versions of packages

        typer.echo(f"lingolite {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")] = False,
    no_plugin: Annotated[
        list[str] | None,
        typer.Option("--no-plugin", metavar="NAME", help="Do not load this plugin or distribution; repeatable."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep finished steps there; default: LINGOLITE_CACHE, or the project's."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """The options of every command."""
    from lingolite_cli.jobs.context import JobContext  # plugins, cache and project, which no help needs
    from lingolite_cli.settings import working_directory

    working_directory()  # paths mean nothing without one
    context.obj = JobContext(is_verbose=verbose, is_quiet=quiet, no_plugin=tuple(no_plugin or ()), cache=cache)


# Typer brings a copy of click since 0.2x, and this is the one class of its errors that both make public.
_USAGE_ERRORS = cast("tuple[type[Exception], ...]", typer.BadParameter.__bases__)
_COMPLETION = "_LINGOLITE_COMPLETE"
_MACHINE_ERRORS = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)


def main() -> None:
    """Run the command line and exit with its code. It does not depend on who reads stdout or stderr."""
    secure_standard_streams()
    end_on_signals()
    code = _outcome(sys.argv[1:])
    if code == ExitCode.DONE:
        code = _told(sys.stdout)
    sys.exit(code)


def _told(stream: Any) -> int:
    """The exit code of a command that did its work: whether its results could be written to stdout, as well.

    A reader that goes away, as `head` does, and a stdout that was closed from the start have no need of them.
    """
    stream.flush()
    lost = loss_of(stream)
    if lost is None or lost.errno in (errno.EPIPE, errno.EBADF):
        return int(ExitCode.DONE)
    Console().error(
        LingoLiteError(f"cannot write to stdout: {lost.strerror}", hint="the work is done; its results were not shown")
    )
    return int(ExitCode.BAD_INPUT)


def _outcome(arguments: list[str]) -> int:
    is_verbose = "-v" in arguments or "--verbose" in arguments
    console = Console()
    try:
        return _run(arguments)
    except LingoLiteError as error:
        if is_verbose:
            console.trouble(traceback.format_exc())
        console.error(error)
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        console.note("interrupted; finished steps are kept")
        return int(ExitCode.INTERRUPTED)
    except _USAGE_ERRORS as error:
        found = usage_error(error)
        if found is None:
            console.trouble(f"{error}\n")
        else:
            console.error(found)
        return int(ExitCode.BAD_INPUT)
    except SystemExit as error:
        if _COMPLETION in os.environ:  # the shell asks what may follow, and Typer answers and exits
            return int(error.code or ExitCode.DONE)
        return _report_bug(error, console)
    except Exception as error:
        found = _machine_error(error)
        if found is None:
            return _report_bug(error, console)
        if is_verbose:
            console.trouble(traceback.format_exc())
        console.error(found)
        return int(found.exit_code)


def _machine_error(error: Exception) -> LingoLiteError | None:
    """What this machine forbids, has no room for, or lacks: not a bug."""
    if isinstance(error, OSError) and error.errno in _MACHINE_ERRORS:
        return LingoLiteError(f"{error.strerror}: {error.filename or 'while writing'}")
    from lingolite_cli.files.disk import full_disk
    from lingolite_cli.plugins.extras import missing_extra

    return missing_extra(error) or out_of_memory(error) or full_disk(error, [Path.cwd(), Path(tempfile.gettempdir())])


def _report_bug(error: BaseException, console: Console) -> int:
    console.trouble(traceback.format_exc())
    console.error(
        LingoLiteError(f"this is a bug in lingolite: {error!r}", hint="please report it with the lines above")
    )
    return int(ExitCode.BUG)


def _check_working_directory() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise LingoLiteError(
            "the working directory was removed", hint="change into one that exists, such as with `cd ~`"
        ) from None


def _run(arguments: list[str]) -> int:
    _check_working_directory()
    code = int(app(arguments, prog_name="lingolite", standalone_mode=False) or ExitCode.DONE)
    if code == ExitCode.INTERRUPTED:  # newer versions of Typer report Ctrl-C by its code alone
        raise KeyboardInterrupt
    return code
