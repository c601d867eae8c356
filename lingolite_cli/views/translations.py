"""How translations are printed: a line each, a JSON document each, or token by token."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.process.streams import loss_of
from lingolite_cli.text.visible import escaped_json, shown

if TYPE_CHECKING:
    from lingolite_cli.decoding.sentences import SentenceTranslator
    from lingolite_cli.decoding.translator import Translation


def print_all(
    translations: Iterable[Translation], console: Console, *, n_best: int, stream: IO[str] | None = None
) -> None:
    """Print translations as they come: a line each, or a JSON document each.

    Args:
        translations: in order.
        console: told of what is wrong with one.
        n_best: alternatives of each, separated by tabs.
        stream: where to; None is stdout.
    """
    out = sys.stdout if stream is None else stream
    for number, found in enumerate(translations, start=1):
        warn_of(number, found, console)
        if console.is_json:
            document = msgspec.json.encode(found).decode()
            out.write(f"{escaped_json(document) if out.isatty() else document}\n")
        else:
            texts = [alternative.text for alternative in found.alternatives] if n_best > 1 else [found.text]
            out.write("\t".join(_on_one_line(text, out) for text in texts) + "\n")
        out.flush()
        if loss_of(out) is not None:  # nobody reads on: the rest of an endless stdin need not be translated
            return


def print_in_steps(translator: SentenceTranslator, lines: Iterable[str], console: Console) -> None:
    """Print each translation token by token, as it comes."""
    for number, line in enumerate(lines, start=1):
        num_shown = 0
        for found in translator.translate_in_steps(line):
            sys.stdout.write(_on_one_line(found.text[num_shown:], sys.stdout))
            sys.stdout.flush()
            num_shown = len(found.text)
        sys.stdout.write("\n")
        sys.stdout.flush()
        if loss_of(sys.stdout) is not None:
            return
        warn_of(number, found, console)


def warn_of(number: int, found: Translation, console: Console) -> None:
    """What is wrong with the translation of a sentence."""
    if found.is_truncated:
        console.warn(f"sentence {number} has {found.num_source_tokens:,} tokens, more than the model reads: it was cut")
    if not found.is_finished and found.tokens:
        console.warn(f"sentence {number}: the translation was stopped at --max-length")


def _on_one_line(text: str, out: IO[str]) -> str:
    """A model may write any byte; a line of output is one translation all the same, and does a terminal no harm."""
    line = text.translate({ord(character): " " for character in "\n\r\t"})
    return shown(line) if out.isatty() else line
