"""Options that several commands share, and how their text is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.errors import LingoLiteError

Model = Annotated[Path | None, typer.Option(metavar="DIR", help="The artifact; the project's model without it.")]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The directory to make.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the artifact that is there.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Threads for the engine; the project's without it, 1 by default.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Processes that translate at the same time, each with an engine of its own; 1 by default.",
    ),
]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="cpu, cuda or mps, for torch backends.")]
Provider = Annotated[str | None, typer.Option(metavar="NAME", help="Execution provider, for ONNX Runtime.")]
Shortlist = Annotated[
    bool,
    typer.Option(
        "--shortlist",
        help="Choose from the vocabulary shortlist that the artifact was exported with: faster, not exact.",
    ),
]
Languages = Annotated[str | None, typer.Option(metavar="SRC-TGT", help="Languages, such as en-da.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metrics", metavar="NAME,…", help="Metrics, separated by commas; the project's without it."),
]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the plugin; repeatable.")
]


def parse_languages(text: str | None) -> tuple[str, str] | None:
    """`en-da` as a pair.

    Raises:
        LingoLiteError: it is not two names with a hyphen.
    """
    if text is None:
        return None
    parts = text.split("-")
    if len(parts) != 2 or not all(parts):
        raise LingoLiteError(f"--languages {text}: expected two languages", hint="for example `--languages en-da`")
    return parts[0], parts[1]


def parse_metrics(texts: Sequence[str] | None) -> list[str] | None:
    """`bleu,chrf`, given once or several times, as names, each of them once; None where none was given.

    Raises:
        LingoLiteError: it names none.
    """
    if not texts:
        return None
    names = dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip())
    if not names:
        raise LingoLiteError("--metrics names no metric", hint="for example `--metrics bleu,chrf`")
    return list(names)
