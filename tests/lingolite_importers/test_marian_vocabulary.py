"""`vocab.yml` and `vocab.json` of Marian: pieces as they stand, and tables that are none are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lingolite_importers.marian.files import MarianFiles
from lingolite_importers.marian.vocabulary import marian_tokenizer

from lingolite_cli.artifact import VOCABULARY_NAME
from lingolite_cli.errors import LingoLiteError
from tests.lingolite_cli.tokenization.foreign_texts import train_model

PLAIN = ["no", "yes", "on", "1998", "007", "7", "2:30", "0x1F", "1_0", "null", "~", ".5", "1e3", "2001-01-01", "<<"]
"""Pieces that YAML's rules take for truths, numbers, times and merges; Marian writes them without quotes."""


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spm") / "vocab.spm"
    path.write_bytes(train_model(unk_id=1, bos_id=-1, eos_id=0, pad_id=-1))
    return path


def _pieces(spm: Path, vocabulary: Path, *, num_pieces: int) -> list[str]:
    files = MarianFiles(
        model=vocabulary,
        source_spm=spm,
        target_spm=None,
        vocabulary=vocabulary,
        target_vocabulary=None,
        shortlist=None,
        settings={},
        languages=("en", "pt"),
    )
    read = marian_tokenizer(files, sizes=(num_pieces, num_pieces), rows=num_pieces + 1)
    found: list[str] = json.loads(read.files[VOCABULARY_NAME])
    return found[:num_pieces]


@pytest.mark.parametrize("name", ["vocab.yml", "vocab.json"])
def test_pieces_are_text_whatever_they_look_like(spm: Path, tmp_path: Path, name: str) -> None:
    listed = ["</s>", "<unk>", *PLAIN, "▁é", "😀"]
    path = tmp_path / name
    if name.endswith(".yml"):
        path.write_text("".join(f"{piece}: {id}\n" for id, piece in enumerate(listed)))
    else:
        path.write_text(json.dumps({piece: id for id, piece in enumerate(listed)}))
    assert _pieces(spm, path, num_pieces=len(listed)) == listed


REFUSED = {
    "an id twice": ("vocab.yml", "</s>: 0\n<unk>: 1\na: 1\n", "does not lead from pieces to the ids 0"),
    "a piece twice": ("vocab.yml", "</s>: 0\n<unk>: 1\na: 2\na: 3\n", "has the piece 'a' twice"),
    "a piece twice in JSON": ("vocab.json", '{"</s>": 0, "<unk>": 1, "a": 2, "a": 3}', "has the piece 'a' twice"),
    "text for an id": ("vocab.yml", "</s>: 0\n<unk>: one\n", "does not lead"),
    "a list": ("vocab.yml", "- </s>\n- <unk>\n", "does not lead"),
    "a list in JSON": ("vocab.json", '[{"</s>": 0}]', "does not lead"),
    "a table in a table": ("vocab.yml", "</s>: {a: 0}\n", "does not lead"),
    "a table in a table in JSON": ("vocab.json", '{"</s>": {"a": 0}}', "does not lead"),
    "aliases": ("vocab.yml", "a: &a 0\nb: *a\n", "does not lead"),
    "brackets without end": ("vocab.yml", "[" * 200_000, "does not lead"),
    "brackets without end in JSON": ("vocab.json", "[" * 200_000, "is not JSON"),
    "nothing": ("vocab.yml", "", "does not lead"),
    "cut short": ("vocab.yml", '</s>: 0\n"<un', "is not YAML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_does_not_lead_from_pieces_to_ids_is_refused(spm: Path, tmp_path: Path, name: str) -> None:
    file, text, message = REFUSED[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(LingoLiteError, match=message) as refused:
        _pieces(spm, tmp_path / file, num_pieces=4)
    assert refused.value.hint
