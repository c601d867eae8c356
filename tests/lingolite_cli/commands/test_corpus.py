"""`lingolite corpus`: forms in and out, filters with reasons, samples and splits."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents

from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.files.zstd import MAGIC as ZSTD
from lingolite_cli.plugins.extras import CORPORA

Call = Callable[..., Outcome]
PAIRS = (
    ("The boat sails at noon.", "Båden sejler klokken tolv."),
    ("Where is the harbour?", "Hvor er havnen?"),
    ("", "Intet."),
    ("She reads <b>two</b> & more.", "Hun læser <b>to</b> & flere."),
    ("There were 12 boats in the harbour.", "Der var 21 både i havnen."),
    ("Where is the harbour?", "Hvor er havnen?"),
    ("The old gate is open today.", "The old gate is open today."),
    ("We ate bread.", "Vi spiste brød brød brød brød brød brød."),
)


@pytest.fixture
def tsv(project: Path) -> Path:
    """The pairs, each with where it is from and its licence."""
    path = project / "pairs.tsv"
    rows = [f"{source}\t{target}\tnews-{index % 2}\tCC0\n" for index, (source, target) in enumerate(PAIRS)]
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.fixture
def corpus(lingolite: Call, tsv: Path) -> str:
    """A corpus of them, in shards of three lines."""
    made = lingolite("corpus", "import", tsv, "--languages", "en-da", "--out", "corpus", "--shard-lines", "3")
    assert made.code == 0, made.err
    return "corpus"


def _lines(path: Path) -> list[CorpusLine]:
    return list(CorpusArtifact.open(path, verify=True).lines())


def _pairs(path: Path) -> list[tuple[str, str | None]]:
    return [(line.source, line.target) for line in _lines(path)]


def test_a_corpus_has_lines_counts_licences_and_digests(lingolite: Call, project: Path, corpus: str) -> None:
    shown = lingolite("corpus", "show", corpus, "--json", "--verify").json
    assert (shown["num_lines"], shown["num_shards"], shown["languages"]) == (8, 3, ["en", "da"])
    assert shown["licences"] == {"CC0": 8}
    assert shown["provenances"] == {"news-0": 4, "news-1": 4}
    text = lingolite("corpus", "show", corpus, "--lines", "1").out
    assert "parallel text, en → da" in text
    assert "Båden sejler" in text
    assert "Hvor er" not in text


@pytest.mark.parametrize("names", [("x.tsv",), ("x.jsonl",), ("x.tmx",), ("x.tmx.gz",), ("x.en.gz", "x.da.gz")])
def test_what_is_written_as_files_is_read_back(
    lingolite: Call, project: Path, corpus: str, names: tuple[str, ...]
) -> None:
    assert lingolite("corpus", "export", corpus, *names).code == 0
    given = ("x",) if len(names) == 2 else names  # as Moses names them
    made = lingolite("corpus", "import", *given, "--languages", "en-da", "--out", "again")
    assert made.code == 0, made.err
    assert _pairs(project / "again") == list(PAIRS)


@pytest.mark.skipif(not CORPORA.is_installed, reason="needs the extra corpora")
@pytest.mark.parametrize("names", [("x.tsv.zst",), ("x.jsonl.zst",), ("x.tmx.zst",), ("x.en.zst", "x.da.zst")])
def test_files_may_be_zstd(lingolite: Call, project: Path, corpus: str, names: tuple[str, ...]) -> None:
    assert lingolite("corpus", "export", corpus, *names).code == 0
    assert all((project / name).read_bytes().startswith(ZSTD) for name in names)
    given = ("x",) if len(names) == 2 else names
    made = lingolite("corpus", "import", *given, "--languages", "en-da", "--out", "again")
    assert made.code == 0, made.err
    assert _pairs(project / "again") == list(PAIRS)


@pytest.mark.parametrize("name", ["x.tsv.xz", "x.jsonl.bz2", "x.zip"])
def test_a_name_that_promises_another_packing_is_refused(
    lingolite: Call, project: Path, corpus: str, name: str
) -> None:
    refused = lingolite("corpus", "export", corpus, name)
    assert refused.code == 2
    assert "end the name in .gz or .zst" in refused.err
    assert not (project / name).exists()


@pytest.mark.skipif(not CORPORA.is_installed, reason="needs the extra corpora")
def test_shards_may_be_zstd(lingolite: Call, project: Path, tsv: Path) -> None:
    job = ("corpus", "import", tsv, "--languages", "en-da", "--out", "packed", "--compression", "zstd")
    assert lingolite(*job).code == 0
    assert (project / "packed" / "shards" / "000000.jsonl.zst").is_file()
    assert _pairs(project / "packed") == list(PAIRS)


def test_json_lines_have_texts_by_side_by_language_or_below_translation(lingolite: Call, project: Path) -> None:
    rows = [
        {"source": "a", "target": "b", "licence": "MIT", "id": 7},
        {"en": "c", "da": "d"},
        {"translation": {"en": "e", "da": "f"}},
    ]
    (project / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert lingolite("corpus", "import", "x.jsonl", "--languages", "en-da", "--out", "made").code == 0
    lines = _lines(project / "made")
    assert [(line.source, line.target) for line in lines] == [("a", "b"), ("c", "d"), ("e", "f")]
    assert [line.licence for line in lines] == ["MIT", None, None]


def test_tmx_of_other_tools_is_read_without_codes_by_region_and_the_rest_is_counted(
    lingolite: Call, project: Path
) -> None:
    (project / "memory.tmx").write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header/><body>'
        '<tu><tuv xml:lang="EN-US"><seg>Open <bpt i="1">{\\b </bpt>the<ept i="1">}</ept> file.</seg></tuv>'
        '<tuv lang="da-DK"><seg>Åbn\n filen.</seg></tuv></tu>'
        '<tu><tuv xml:lang="en"><seg>Only this.</seg></tuv></tu></body></tmx>',
        encoding="utf-8",
    )
    job = ("corpus", "import", "memory.tmx", "--languages", "en-da", "--out", "made")
    assert "missing language" in lingolite(*job).err
    assert lingolite(*job, "--skip-bad").code == 0
    assert _pairs(project / "made") == [("Open the file.", "Åbn filen.")]
    assert CorpusArtifact.open(project / "made").manifest.removed == {"missing language": 1}


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({"a.en": "x\ny\n", "a.da": "z\n"}, ["a.en", "a.da"], "a.en has 2 lines and a.da has 1"),
        ({"a.tsv": "x\ty\nx\ty\tz\n"}, ["a.tsv"], "a.tsv, line 2: bad data: wrong columns"),
        ({"a.tsv": "x\n"}, ["a.tsv"], "a.tsv, line 1: bad data: wrong columns"),
        ({"a.jsonl": "{\n"}, ["a.jsonl"], "a.jsonl, line 1: bad data: invalid JSON"),
        ({"a.tmx": "<tmx><body><tu>"}, ["a.tmx"], "a.tmx: not well-formed XML"),
        ({"a.tmx": "<html/>"}, ["a.tmx"], "there is no element `body`"),
        ({"a.tsv": ""}, ["a.tsv"], "no line is in a.tsv"),
        ({}, ["none.tsv"], "no such file: none.tsv"),
        ({"a.en": "x\n"}, ["a.en"], "1 file of lines and 2 languages do not fit"),
        ({"a.tsv": "x\ty\n"}, ["a.tsv", "--columns", "source,text"], "--columns text: no such column"),
        ({"a.tsv": "x\ty\n"}, ["a.tsv", "--from", "xlsx"], "--from xlsx: no such form"),
        ({"a.tsv": "x\ty\n"}, ["a.tsv", "--shard-lines", "1000001"], "--shard-lines must be at most 1,000,000"),
    ],
)
def test_bad_files_are_refused_and_nothing_is_written(
    lingolite: Call, project: Path, files: dict[str, str], arguments: list[str], message: str
) -> None:
    for name, text in files.items():
        (project / name).write_text(text, encoding="utf-8")
    before = contents(project)
    refused = lingolite("corpus", "import", *arguments, "--languages", "en-da", "--out", "made")
    assert refused.code == 2, refused.err
    assert message in refused.err
    assert contents(project) == before


def test_invalid_utf8_and_damaged_gzip_are_refused(lingolite: Call, project: Path) -> None:
    (project / "a.en").write_bytes(b"one\ncaf\xe9\n")
    (project / "b.en.gz").write_bytes(gzip.compress(b"one\n" * 100)[:-20])
    for name, message in (("a.en", "a.en, line 2: bad data: invalid UTF-8"), ("b.en.gz", "damaged or cut short")):
        refused = lingolite("corpus", "import", name, "--languages", "en", "--out", "made")
        assert (refused.code, message in refused.err) == (2, True), refused.err
        assert not (project / "made").exists()


def test_filters_count_what_they_leave_out_by_reason(lingolite: Call, project: Path, corpus: str) -> None:
    done = lingolite("corpus", "filter", corpus, "--out", "clean", "--rejected", "rest", "--json")
    assert done.code == 0, done.err
    assert done.json["removed"] == {"empty": 1, "loops": 1, "copies": 1, "numbers": 1, "duplicates": 1}
    assert _pairs(project / "clean") == [PAIRS[0], PAIRS[1], PAIRS[3]]
    assert [line.faults for line in _lines(project / "rest")] == [
        ("filter empty",),
        ("filter numbers",),
        ("filter duplicates",),
        ("filter copies",),
        ("filter loops",),
    ]
    shown = lingolite("corpus", "filter", corpus, "--out", "fewer", "--filter", "numbers")
    assert "fewer: 7 of 8 lines stay" in shown.out
    assert "5: There were 12 boats" in shown.out


@pytest.mark.skipif(not CORPORA.is_installed, reason="needs the extra corpora")
def test_the_filter_of_languages_leaves_out_what_is_clearly_in_another(lingolite: Call, project: Path) -> None:
    pairs = [
        ("The old gate by the harbour is open today.", "Den gamle port ved havnen er åben i dag."),
        ("The boat sails at noon from the harbour.", "Le bateau part à midi depuis le vieux port de la ville."),
        ("Boat.", "Båd."),
    ]
    (project / "x.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs), encoding="utf-8")
    lingolite("corpus", "import", "x.tsv", "--languages", "en-da", "--out", "made")
    done = lingolite("corpus", "filter", "made", "--filter", "language", "--out", "clean")
    assert done.code == 0, done.err
    assert _pairs(project / "clean") == [pairs[0], pairs[2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", "empty,long", "--option", "max_words=1"], "the filters leave nothing of the 8 lines"),
        (["--filter", "shouting"], "there is no filter `shouting`"),
        (["--option", "max_ratio=0.5"], "max_ratio"),
        (["--option", "speed=1"], "unknown key `speed`"),
    ],
)
def test_filters_that_cannot_be_used_or_leave_nothing_write_nothing(
    lingolite: Call, project: Path, corpus: str, arguments: list[str], message: str
) -> None:
    before = contents(project)
    refused = lingolite("corpus", "filter", corpus, "--out", "clean", *arguments)
    assert refused.code == 2, refused.err
    assert message in refused.err
    assert contents(project) == before


def test_monolingual_text_has_filters_of_its_own(lingolite: Call, project: Path) -> None:
    (project / "x.en").write_text("One.\n\nOne.\nhaha haha haha haha haha haha\n", encoding="utf-8")
    lingolite("corpus", "import", "x.en", "--languages", "en", "--out", "made")
    assert "compares two sides" in lingolite("corpus", "filter", "made", "--filter", "numbers", "--out", "c").err
    done = lingolite("corpus", "filter", "made", "--out", "clean", "--json")
    assert done.json["removed"] == {"empty": 1, "loops": 1, "duplicates": 1}


def test_a_sample_is_in_order_and_the_same_for_a_seed(lingolite: Call, project: Path, corpus: str) -> None:
    for out, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert lingolite("corpus", "sample", corpus, "--lines", "4", "--seed", seed, "--out", out).code == 0
    assert contents(project / "a") == contents(project / "b")
    assert contents(project / "a") != contents(project / "c")
    found, rest = _pairs(project / "c"), iter(PAIRS)
    assert len(found) == 4
    assert all(pair in rest for pair in found)  # in this order: `in` takes from an iterator
    assert "fewer than 9" in lingolite("corpus", "sample", corpus, "--lines", "9", "--out", "d").err


def test_a_split_has_each_source_in_one_part(lingolite: Call, project: Path, corpus: str) -> None:
    done = lingolite("corpus", "split", corpus, "--part", "dev=2", "--part", "test=2", "--out", "parts")
    assert done.code == 0, done.err
    parts = {name: {source for source, _ in _pairs(project / "parts" / name)} for name in ("dev", "test", "train")}
    assert len(parts["dev"]) == len(parts["test"]) == 2
    assert sum(map(len, parts.values())) == len({source for source, _ in PAIRS})
    assert sum(len(_lines(project / "parts" / name)) for name in parts) == len(PAIRS)
    assert "would have no line" in lingolite("corpus", "split", corpus, "--part", "dev=7", "--out", "p").err
    assert "expected NAME=N" in lingolite("corpus", "split", corpus, "--part", "dev", "--out", "p").err


def test_a_damaged_shard_and_a_model_are_not_read(lingolite: Call, project: Path, corpus: str) -> None:
    shard = project / corpus / "shards" / "000001.jsonl.gz"
    shard.write_bytes(gzip.compress(b'{"source":"x","target":"y"}\n' * 3))
    for command in (["export", corpus, "x.tsv"], ["filter", corpus, "--out", "c"], ["show", corpus, "--verify"]):
        refused = lingolite("corpus", *command)
        assert refused.code == 2
        assert "000001.jsonl.gz" in refused.err
    assert not (project / "x.tsv").exists()
    assert "its manifest does not say that it is one" in lingolite("corpus", "show", "model").err
    assert "is a corpus, not a model" in lingolite("translate", "Hi.", "--model", corpus).err


def test_texts_with_tabs_or_line_feeds_are_not_torn_apart(lingolite: Call, project: Path) -> None:
    (project / "x.jsonl").write_text('{"source":"a\\tb","target":"c\\nd"}\n', encoding="utf-8")
    lingolite("corpus", "import", "x.jsonl", "--languages", "en-da", "--out", "made")
    for names in (["x.tsv"], ["x.en", "x.da"]):
        refused = lingolite("corpus", "export", "made", *names)
        assert refused.code == 2
        assert "inside of its text" in refused.err
        assert not (project / "x.tsv").exists()
    assert lingolite("corpus", "export", "made", "y.jsonl").code == 0
