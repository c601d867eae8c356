"""Texts to train on are tokenized once, and ids are those of the very text, tokenizer and options, or made again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

from lingolite_cli.corpora.pairs import Text, TextReport
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.recipe.cache import host_digest
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.training.examples import Examples, epoch_batches
from lingolite_cli.training.options import TextOptions
from lingolite_cli.training.reading import read_examples
from lingolite_cli.training.text_cache import TextCache


class Reader:
    """Reads texts with one cache."""

    def __init__(self, root: Path, tokenizer: Path) -> None:
        self.root = root
        self.tokenizer = tokenizer

    def read(
        self,
        *paths: Path,
        languages: tuple[str, str] = ("en", "da"),
        host: str = "this code",
        is_fresh: bool = False,
        **options: object,
    ) -> tuple[Examples, TextReport]:
        examples, (report,) = read_examples(
            [Text(paths)],
            read_tokenizer(self.tokenizer),
            languages=languages,
            positions=64,
            options=TextOptions(**options),
            cache=TextCache(self.root, host=host, is_fresh=is_fresh),
            tokenizer_digest=sha256_file(self.tokenizer),
        )
        return examples, report

    def entries(self) -> dict[str, int]:
        """What is kept, and which directory it is."""
        return {place.name: place.stat().st_ino for place in self.root.glob("*/*")}


@pytest.fixture
def reader(tmp_path: Path, small_tokenizer: Path) -> Reader:
    return Reader(tmp_path / "texts", small_tokenizer)


@pytest.fixture
def text(tmp_path: Path, parallel_text: Path) -> Path:
    """A text with a row that is no pair."""
    path = tmp_path / "train.tsv"
    path.write_bytes(parallel_text.read_bytes() + b"the cat\n")
    return path


def drawn(examples: Examples) -> list[list[list[list[int]]]]:
    """All tensors of an epoch."""
    batches = epoch_batches(examples, batch_tokens=200, seed=3, epoch=0)
    return [[tensor.tolist() for tensor in examples.batch(batch)] for batch in batches]


def test_text_is_tokenized_once(reader: Reader, text: Path) -> None:
    first, report = reader.read(text)
    kept = reader.entries()
    second, again = reader.read(text)
    assert reader.entries() == kept
    assert again == report
    assert drawn(second) == drawn(first)
    assert report.first_bad == {"wrong columns": f"{text}, line 31"}


def test_text_under_another_name_is_the_same(reader: Reader, text: Path) -> None:
    reader.read(text)
    kept = reader.entries()
    moved = text.rename(text.with_name("moved.tsv"))
    _, report = reader.read(moved)
    assert reader.entries() == kept
    assert (report.name, report.first_bad["wrong columns"]) == ("moved.tsv", f"{moved}, line 31")


def test_fresh_tokenizes_again(reader: Reader, text: Path) -> None:
    first, _ = reader.read(text)
    kept = reader.entries()
    fresh, _ = reader.read(text, is_fresh=True)
    assert reader.entries().keys() == kept.keys()
    assert reader.entries() != kept
    assert drawn(first) == drawn(fresh), "the ids that were replaced stay readable"


@pytest.mark.parametrize(
    "change",
    [
        {"languages": ("da", "en")},
        {"host": "other code"},
        {"max_tokens": 20},
        {"short_words": 3},
        {"is_other_text": True},
        {"is_other_tokenizer": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_the_ids_is_part_of_the_key(
    reader: Reader, text: Path, change: dict[str, object], tiny_tokenizer: Path
) -> None:
    reader.read(text)
    change = dict(change)
    if change.pop("is_other_text", False):
        text.write_bytes(text.read_bytes().replace(b"cat", b"dog", 1))
    if change.pop("is_other_tokenizer", False):
        reader.tokenizer = tiny_tokenizer
    reader.read(text, **change)
    assert len(reader.entries()) == 2


@pytest.fixture
def tiny_tokenizer(tiny: object) -> Path:
    return tiny.tokenizer_path  # type: ignore[attr-defined]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _count_more(path: Path) -> None:
    entry = json.loads(path.read_bytes())
    entry["rows"]["num_pairs"] += 1
    path.write_text(json.dumps(entry))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("ids.bin", _flip),
        ("ids.bin", Path.unlink),
        ("ids.bin", lambda path: os.truncate(path, 10)),
        ("lengths.bin", _flip),
        ("short.bin", _flip),
        ("entry.json", _flip),
        ("entry.json", _count_more),
        ("entry.json", lambda path: path.write_text("[" * 100_000)),
    ],
)
def test_damaged_entry_is_made_again(reader: Reader, text: Path, name: str, damage: Callable[[Path], None]) -> None:
    first, report = reader.read(text)
    good = drawn(first)
    (place,) = reader.root.glob("*/*")
    damage(place / name)
    second, again = reader.read(text)
    assert (drawn(second), again) == (good, report)
    kept = reader.entries()
    reader.read(text)
    assert reader.entries() == kept, "the entry that replaced it is whole"


def test_entry_under_another_key_is_none(reader: Reader, text: Path) -> None:
    first, _ = reader.read(text)
    good = drawn(first)
    reader.read(text, languages=("da", "en"))
    one, other = reader.root.glob("*/*")
    for name in ("ids.bin", "lengths.bin", "short.bin", "entry.json"):
        one_bytes, other_bytes = (one / name).read_bytes(), (other / name).read_bytes()
        (one / name).write_bytes(other_bytes)
        (other / name).write_bytes(one_bytes)
    second, _ = reader.read(text)
    assert drawn(second) == good


def test_text_that_changes_for_a_moment_while_it_is_read_is_refused(reader: Reader, tmp_path: Path) -> None:
    """The reader waits at a named pipe, where the other file is changed and changed back."""
    source, pipe = tmp_path / "text.en", tmp_path / "text.da"
    source.write_text("the cat\n")
    os.mkfifo(pipe)

    def change() -> None:
        with pipe.open("w") as stream:
            source.write_text("the dog\n")
            source.write_text("the cat\n")
            stream.write("katten\n")

    changing = threading.Thread(target=change)
    changing.start()
    with pytest.raises(LingoLiteError, match=r"text\.en was changed while it was used"):
        reader.read(source, pipe)
    changing.join()
    assert reader.entries() == {}


def test_memory_does_not_grow_with_the_text(reader: Reader, tmp_path: Path) -> None:
    """numpy tells tracemalloc of its arrays; what is mapped is not counted."""
    import tracemalloc

    text = tmp_path / "large.tsv"
    row = "the cat sat on a mat in fog the dog ran in red fog\tkatten sad på måtten hund løb tåge hus båd katten\n"
    text.write_text(row * 60_000)
    reader.read(text)
    tracemalloc.start()
    examples, _ = reader.read(text)
    for batch in epoch_batches(examples, batch_tokens=4096, seed=1, epoch=0)[:20]:
        examples.batch(batch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < text.stat().st_size / 2


def test_commands_count_and_clear_tokenized_texts(
    lingolite: Callable[..., Outcome], project: Path, reader: Reader, text: Path
) -> None:
    reader.root = project / ".lingolite" / "cache" / "texts"
    reader.read(text, host=host_digest())
    (place,) = reader.root.glob("*/*")
    assert lingolite("cache", "show", "--json").json["texts"]["count"] == 1
    assert "tokenized texts" in lingolite("cache", "show").out
    lingolite("cache", "prune")
    assert place.is_dir()
    reader.read(text, host="other code")
    assert lingolite("cache", "show", "--json").json["stale"]["count"] == 1
    assert lingolite("cache", "prune", "--json").json["removed"]["count"] == 1
    assert list(reader.root.glob("*/*")) == [place]
    lingolite("cache", "prune", "--all")
    assert not place.exists()
