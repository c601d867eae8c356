"""The table of commands: what each is called, does, and where its code is.

Owns the order of commands and their summaries. A command's module is imported when it is called or asked for its own
help, so that `lingolite --help` costs the table and no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer

from lingolite_cli.commands.usage import Command, Group


class CommandEntry(NamedTuple):
    """A command, or a group of commands.

    Attributes:
        name: as it is typed.
        code: module in this package, and the function in it; for a group the Typer application `app`.
        summary: what `lingolite --help` says of it: the first sentence of its own help, or a shorter one.
        epilog: function, with its module, that makes the text below its help.
    """

    name: str
    code: str
    summary: str
    epilog: str | None = None


COMMANDS = (
    CommandEntry("run", "run:run_recipe", "Run a recipe: evaluate, quantize, export, verify, report."),
    CommandEntry("eval", "eval_:score_model", "Translate a test set and score it."),
    CommandEntry("quantize", "quantize:quantize", "Make a bundle smaller: by one method, by all, or by a search."),
    CommandEntry("export", "export:export", "Turn a bundle, float or quantized, into another format."),
    CommandEntry("shortlist", "shortlist:shortlist", "Make a vocabulary shortlist for faster decoding."),
    CommandEntry(
        "verify",
        "verify:verify_candidate",
        "Judge a candidate against the model.",
        "lingolite_cli.views.budgets:budgets_help",
    ),
    CommandEntry(
        "verify-lock",
        "verify_lock:verify_lock",
        "Check a lock against the inputs, packages and artifacts of this machine.",
    ),
    CommandEntry("compare", "compare:compare_paths", "Compare two systems on the same sentences."),
    CommandEntry("history", "history:app", "The project's runs over time: how they ended, quality, size and latency."),
    CommandEntry("bench", "bench:bench", "Measure backends side by side, each alone in a fresh process."),
    CommandEntry("translate", "translate:translate_lines", "Translate text, lines of a file, or a document."),
    CommandEntry("corpus", "corpus:app", "Make, show, filter and sample corpora of text."),
    CommandEntry("serve", "serve:serve_model", "Serve translations over HTTP."),
    CommandEntry(
        "monitor",
        "monitor:monitor_log",
        "Judge what a server recorded: latency, faults, drift, quality.",
        "lingolite_cli.views.budgets:served_budgets_help",
    ),
    CommandEntry("train", "train:train_recipe", "Run the steps of a recipe that train, `qat-int8` included."),
    CommandEntry("import", "import_:import_bundle", "Make a bundle from a LingoLite checkpoint."),
    CommandEntry("init", "init:init", "Write lingolite.toml and recipes/mobile.toml for a model."),
    CommandEntry("doctor", "doctor:doctor", "Versions, CPU, plugins and engines."),
    CommandEntry(
        "inspect",
        "inspect_:inspect",
        "Show what an artifact is: sizes, network, integers, languages, licence, origin and last verdict.",
    ),
    CommandEntry("docs", "docs:docs", "The guides: which there are, or the text of one."),
    CommandEntry("recipes", "recipes:app", "List, check and show recipes."),
    CommandEntry("plugins", "plugins:app", "List, show, check and begin plugins."),
    CommandEntry("cache", "cache:app", "Show and clear the cache of finished steps."),
)


class LoadedCommands(Mapping[str, Any]):
    """The commands of the table, each loaded when it is first taken."""

    def __init__(self) -> None:
        self._entries = {entry.name: entry for entry in COMMANDS}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(self._entries[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class RootGroup(Group):
    """`lingolite` itself, whose commands are those of the table."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": {}})
        self.commands: Any = LoadedCommands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write names and summaries, and load nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.summary) for entry in COMMANDS])


def _load(entry: CommandEntry) -> Any:
    module, _, name = entry.code.partition(":")
    found = getattr(import_module(f"lingolite_cli.commands.{module}"), name)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = entry.name
        return group
    epilog = None
    if entry.epilog is not None:
        place, _, function = entry.epilog.partition(":")
        epilog = getattr(import_module(place), function)()
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(entry.name, cls=Command, short_help=entry.summary, epilog=epilog)(found)
    return typer.main.get_command(alone)
