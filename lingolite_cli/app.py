"""The `lingolite` command: the table of commands, and how every outcome becomes a message and an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import click
import typer

from lingolite_cli import __version__
from lingolite_cli.commands import (
    bench,
    doctor,
    eval_,
    export,
    import_,
    init,
    plugins,
    quantize,
    recipes,
    run,
    translate,
    verify,
)
from lingolite_cli.commands.state import State
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError

app = typer.Typer(
    name="lingolite",
    help="Take a translation model from checkpoint to phone, and prove that it still translates well.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("run")(run.run)
app.command("eval")(eval_.eval_)
app.command("quantize")(quantize.quantize)
app.command("export")(export.export)
app.command("verify")(verify.verify)
app.command("bench")(bench.bench)
app.command("translate")(translate.translate)
app.command("import")(import_.import_)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.add_typer(recipes.app, name="recipes")
app.add_typer(plugins.app, name="plugins")


@app.callback()
def root(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")] = False,
    no_plugin: Annotated[
        list[str] | None,
        typer.Option("--no-plugin", metavar="NAME", help="Do not load this plugin or distribution; repeatable."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """The options that stand before the command."""
    if version:
        typer.echo(f"lingolite {__version__}")
        raise typer.Exit
    context.obj = State(is_verbose=verbose, is_quiet=quiet, no_plugin=tuple(no_plugin or ()))


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(_outcome(sys.argv[1:]))


def _outcome(arguments: list[str]) -> int:
    is_verbose = "-v" in arguments or "--verbose" in arguments
    console = Console()
    try:
        code = app(arguments, prog_name="lingolite", standalone_mode=False)
        return int(code or ExitCode.DONE)
    except LingoLiteError as error:
        if is_verbose:
            traceback.print_exc()
        console.error(error)
        return int(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        console.note("interrupted; finished steps are kept")
        return int(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return int(error.exit_code)
    except BrokenPipeError:  # the reader of stdout went away, as `head` does
        sys.stderr.close()
        return int(ExitCode.DONE)
    except Exception as error:
        traceback.print_exc()
        console.error(
            LingoLiteError(f"this is a bug in lingolite: {error!r}", hint="please report it with the lines above")
        )
        return int(ExitCode.BUG)
