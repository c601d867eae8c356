"""Public test sets in sacreBLEU's own directory: found there, or not, and never downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus
from lingolite_cli.errors import LingoLiteError

Command = Callable[..., Outcome]
SOURCES = ["She reads the paper now.", "The boat is red and old."]


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory as sacreBLEU lays it out."""
    root = tmp_path / "sacrebleu"
    files = {
        "wmt14/wmt14.en-da.src": SOURCES,
        "wmt14/wmt14.en-da.ref": ["Hun læser avisen nu.", "Båden er rød og gammel."],
        "wmt14/wmt14.en-da.docid": ["a", "b"],
        "wmt22/wmt22.en-zh.src": SOURCES,
        "wmt22/wmt22.en-zh.ref-A": ["一", "二"],
        "wmt22/wmt22.en-zh.ref-B": ["三", "四"],
        "wmt22/wmt22.en-zh.system_A": ["五", "六"],
        "mtedx/valid/mtedx_valid.el-en.src": SOURCES,
        "mtedx/valid/mtedx_valid.el-en.ref": SOURCES,
    }
    for name, lines in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    monkeypatch.setenv("SACREBLEU", str(root))
    return root


def read(name: str, languages: tuple[str, str]) -> list[list[str]]:
    return read_corpus(CorpusSpec(test_set=name, languages=languages), name="test", root=Path()).references


@pytest.mark.usefixtures("sets")
def test_all_references_of_the_pair_are_read() -> None:
    assert read("wmt14", ("en", "da")) == [["Hun læser avisen nu.", "Båden er rød og gammel."]]
    assert read("wmt22", ("en", "zho_Hans")) == [["一", "二"], ["三", "四"]]
    assert read("mtedx/valid", ("el", "en")) == [SOURCES]


@pytest.mark.usefixtures("sets")
@pytest.mark.parametrize(
    ("name", "languages", "message"),
    [
        ("wmt22", ("en", "da"), "wmt22 for en-da is not in .*; there: en-zh"),
        ("wmt23", ("en", "da"), "wmt23 for en-da is not in .*wmt23$"),
        ("../wmt14", ("en", "da"), "no name of sacreBLEU's"),
        ("", ("en", "da"), "no name of sacreBLEU's"),
    ],
)
def test_a_set_that_is_not_there_is_told_with_the_command_that_downloads_it(
    name: str, languages: tuple[str, str], message: str
) -> None:
    with pytest.raises(LingoLiteError, match=message) as error:
        read(name, languages)
    if name.startswith("wmt"):
        assert f"sacrebleu -t {name} -l en-da --echo src" in (error.value.hint or "")


@pytest.mark.usefixtures("sets")
def test_eval_takes_the_pair_of_the_model(with_echo: Command, project: Path) -> None:
    (project / "lingolite.toml").write_text("schema = 1\n")
    flags = ("--model", "model", "--backend", "echo", "--metrics", "bleu", "--json")
    report = with_echo("eval", *flags, "-t", "wmt14").json
    assert (report["num_samples"], report["corpus"]["languages"]) == (2, ["en", "da"])
    refused = with_echo("eval", *flags, "-t", "wmt14", "--source", "test.tsv")
    assert (refused.code, "both --test-set and --source" in refused.err) == (2, True)
    refused = with_echo("eval", *flags, "-t", "wmt22")
    assert (refused.code, "sacrebleu -t wmt22 -l en-da" in refused.err) == (2, True)


@pytest.mark.usefixtures("sets")
def test_recipes_and_projects_name_a_set(with_echo: Command, project: Path) -> None:
    recipe = project / "recipes" / "small.toml"
    text = recipe.read_text().replace('tsv = "test.tsv"', 'test_set = "wmt14"')
    recipe.write_text(text)
    assert with_echo("recipes", "check", "small").code == 0
    recipe.write_text(text.replace("wmt14", "wmt15"))
    refused = with_echo("recipes", "check", "small")
    assert (refused.code, "sacrebleu -t wmt15" in refused.err) == (2, True)
    recipe.write_text(text.replace(', languages = ["en", "da"]', ""))
    refused = with_echo("recipes", "check", "small")
    assert (refused.code, "needs languages" in refused.err) == (2, True)
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text().replace('tsv = "test.tsv"', 'test_set = "wmt14"'))
    assert with_echo("eval", "--json").json["num_samples"] == 2
