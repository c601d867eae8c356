"""Flags of generic commands for options that only some engines have.

Owns the one table of them. Each is an alias: `--opset-version 17` is `--option opset_version=17`, for whatever plugin
the command chose; a plugin without that option refuses it. A command takes the aliases of a kind of plugin by
the decorator `takes_aliases`, and no command's code names an engine.

The table is here, and not with the plugins, so that `--help` loads no plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.jobs.job import given_of


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A flag that stands for an option of a plugin.

    Attributes:
        flags: as they are written; the second, if any, switches it off.
        option: the plugin's name for it.
        type: of its value.
        metavar: what the help calls the value; None for a switch, which has none.
        help: what the option does.
    """

    flags: str
    option: str
    type: type = str
    metavar: str | None = None
    help: str


ALIASES = {
    "exporter": (
        Alias(flags="--opset-version", option="opset_version", type=int, metavar="N", help="ONNX opset"),
        Alias(
            flags="--max-seq-len",
            option="max_seq_len",
            type=int,
            metavar="N",
            help="Positions that the exported graphs have",
        ),
        Alias(flags="--test/--no-test", option="test", type=bool, help="Compare with a reference"),
        Alias(
            flags="--optimize",
            option="optimize",
            metavar="NAME",
            help="Offline graph optimizer to write fused graphs with",
        ),
    ),
    "importer": (
        Alias(
            flags="--languages",
            option="languages",
            metavar="SRC-TGT",
            help="Source and target language, where the model does not say them",
        ),
        Alias(
            flags="--tokenizer",
            option="tokenizer",
            metavar="PATH",
            help="Of a checkpoint: its SentencePiece model, or a directory that holds one",
        ),
        Alias(
            flags="--preset", option="preset", metavar="NAME", help="tiny, small, medium or large, for a missing config"
        ),
        Alias(flags="--n-heads", option="n_heads", type=int, metavar="N", help="Attention heads, for a missing config"),
        Alias(
            flags="--n-kv-heads",
            option="n_kv_heads",
            type=int,
            metavar="N",
            help="Key/value heads; default: from the shapes",
        ),
        Alias(
            flags="--max-seq-len",
            option="max_seq_len",
            type=int,
            metavar="N",
            help="Positions; default: those of the model, or 512",
        ),
        Alias(
            flags="--trained-on",
            option="trained_on",
            metavar="WHAT",
            help="sentences or documents: `translate` splits texts for a model of sentences",
        ),
    ),
    "backend": (
        Alias(
            flags="--shortlist",
            option="shortlist",
            type=bool,
            help="Choose from the vocabulary shortlist that the artifact was exported with: faster, not exact",
        ),
        Alias(flags="--device", option="device", metavar="NAME", help="cpu, cuda or mps, for torch backends"),
        Alias(flags="--provider", option="provider", metavar="NAME", help="Execution provider, for ONNX Runtime"),
    ),
}
"""By kind of plugin, the flags of commands that choose one."""


def takes_aliases(kind: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator for commands that choose a plugin of this kind.

    Typer reads a command's flags from its signature. It is shown one with the aliases in front of `option`; the command
    gets those that were given as `aliased`, by the plugin's names for them.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        aliases = ALIASES[kind]

        @wraps(command)
        def run(**values: Any) -> None:
            given = {alias.option: values.pop(alias.option) for alias in aliases}
            command(**values, aliased=given_of(**given))

        # Typer would follow `__wrapped__` to the command's own signature if there were no `__signature__`.
        shown = signature(command, eval_str=True)
        parameters: list[Parameter] = []
        for parameter in shown.parameters.values():
            if parameter.name == "option":
                parameters += map(_parameter, aliases)
            if parameter.name != "aliased":
                parameters.append(parameter)
        annotations = {parameter.name: parameter.annotation for parameter in parameters}
        vars(run).update(__signature__=shown.replace(parameters=parameters), __annotations__=annotations)
        return run

    return decorate


def _parameter(alias: Alias) -> Parameter:
    example = f"{alias.option}={alias.metavar or 'true'}"
    option = typer.Option(alias.flags, metavar=alias.metavar, help=f"{alias.help}; alias of --option {example}.")
    return Parameter(
        alias.option, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Annotated[alias.type | None, option]
    )
