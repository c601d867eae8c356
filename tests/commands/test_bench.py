"""`lingolite bench`: what it measures on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

QUICK = ("--system", "echo", "--num-sentences", "2", "--batch-sizes", "1", "--lengths", "", "--rounds", "1", "--json")


@pytest.mark.parametrize("name", ["text.tsv", "text.en"])
def test_sources_are_lines_of_a_text_or_a_column_of_a_tsv(
    with_echo: Callable[..., Outcome], project: Path, name: str
) -> None:
    """The backend repeats its source, so a reference that was read as source would be heard in the number of tokens."""
    reference = "\tet helt andet og meget længere stykke tekst på dansk" if name.endswith(".tsv") else ""
    (project / name).write_text(f"a cat sat{reference}\nthe dog ran{reference}\n", encoding="utf-8")
    outcome = with_echo("bench", "--source", name, *QUICK)
    assert outcome.code == 0, outcome.err
    (row,) = outcome.json["systems"][0]["rows"]
    plain = with_echo("translate", "a cat sat", "the dog ran", "--backend", "echo", "--json")
    expected = sum(len(json.loads(line)["tokens"]) for line in plain.out.splitlines())
    assert (row["num_sentences"], row["num_tokens"]) == (2, expected)
