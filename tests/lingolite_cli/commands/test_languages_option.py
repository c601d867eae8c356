"""`--languages`: two names, also where a name has a hyphen itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents

from lingolite_cli.commands.options import parse_languages
from lingolite_cli.errors import LingoLiteError


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("en-da", ("en", "da")),
        ("pt-BR:en", ("pt-BR", "en")),
        ("en:zh-Hans-CN", ("en", "zh-Hans-CN")),
        ("pt_BR-en", ("pt_BR", "en")),
        ("en:da", ("en", "da")),
    ],
)
def test_a_colon_or_the_only_hyphen_stands_between_the_two(text: str, pair: tuple[str, str]) -> None:
    assert parse_languages(text) == pair


def test_several_hyphens_are_refused_with_what_they_could_mean() -> None:
    with pytest.raises(LingoLiteError, match="pt-BR-en: it is not clear where the second language begins") as error:
        parse_languages("pt-BR-en")
    assert error.value.hint == "put a colon between the two: `--languages pt-BR:en`, or pt:BR-en"


@pytest.mark.parametrize("text", ["en-en", "en:en", "EN-en", "pt-BR:pt_br"])
def test_one_language_twice_is_refused(text: str) -> None:
    with pytest.raises(LingoLiteError, match=f"--languages {text}: source and target are the same language"):
        parse_languages(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("translate", "Open the file"),
        ("eval",),
        ("bench",),
        ("compare", "one", "other"),
        ("verify", "model"),
        ("shortlist", "--text", "train.tsv", "--out", "made"),
        ("corpus", "import", "train.tsv", "--out", "made"),
        ("quantize", "--search", "--out", "made"),
        ("init", "made"),
        ("serve", "--max-delay-ms", "-1"),  # which would be refused too: a server that starts does not end
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_command_refuses_one_language_twice_before_any_work(
    with_echo: Callable[..., Outcome], project: Path, arguments: tuple[str, ...]
) -> None:
    before = contents(project)
    refused = with_echo(*arguments, "--languages", "en-en")
    assert (refused.code, "are the same language" in refused.err) == (2, True), refused.err
    assert contents(project) == before


@pytest.mark.parametrize("text", ["english", "", "en-", "-da", ":", "a:b:c", "en--da"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(LingoLiteError, match="expected two languages"):
        parse_languages(text)
