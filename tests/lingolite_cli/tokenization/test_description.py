"""What manifests say of tokenizers, and what they mean where they say nothing."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from lingolite_cli.artifact import MANIFEST_NAME, Artifact, write_manifest
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import SOURCE_TAG, TARGET_TAG, Frame, SpecialIds, TokenizerDescription
from lingolite_cli.tokenization.opening import open_tokenizer

STARTER = Path(__file__).parents[3] / "recipes" / "starter-en-da" / "model"


@pytest.fixture
def copied(tiny: Artifact, tmp_path: Path) -> Path:
    """A copy of the tiny bundle, to be changed."""
    return Path(shutil.copytree(tiny.path, tmp_path / "copied"))


def test_a_manifest_without_the_entry_means_lingolites_own_format() -> None:
    artifact = Artifact.open(STARTER)
    assert "tokenizer" not in json.loads((STARTER / MANIFEST_NAME).read_text())
    described = artifact.manifest.tokenizer_description
    assert json.loads(msgspec.json.encode(described)) == {
        "kind": "lingolite",
        "ids": {"pad": 0, "start": 1, "end": 2, "unknown": 3},
        "frame": {
            "source_prefix": ["<src>", "{source}"],
            "source_suffix": ["</s>", "<tgt>", "{target}"],
            "target_prefix": [],
            "language_tag": "<{language}>",
        },
        "never_generated": [],
    }
    tokenizer = open_tokenizer(artifact)
    pieces = [tokenizer.target_pieces[id] for id in tokenizer.encode_source("", ("en", "da"), max_length=9).ids]
    assert pieces == ["<src>", "<en>", "</s>", "<tgt>", "<da>"]


def test_a_manifest_without_the_entry_is_written_without_it(copied: Path) -> None:
    before = (copied / MANIFEST_NAME).read_bytes()
    write_manifest(copied, Artifact.open(copied).manifest)
    assert (copied / MANIFEST_NAME).read_bytes() == before


def test_the_entry_is_part_of_the_digest(copied: Path) -> None:
    artifact = Artifact.open(copied)
    spelled_out = msgspec.structs.replace(artifact.manifest, tokenizer=TokenizerDescription())
    write_manifest(copied, spelled_out)
    reopened = Artifact.open(copied)
    assert reopened.manifest.tokenizer_description == artifact.manifest.tokenizer_description
    assert reopened.digest != artifact.digest


def test_an_unknown_kind_is_refused_by_name(copied: Path) -> None:
    described = TokenizerDescription(kind="lingolight")
    write_manifest(copied, msgspec.structs.replace(Artifact.open(copied).manifest, tokenizer=described))
    with pytest.raises(LingoLiteError, match="unknown kind of tokenizer `lingolight`") as caught:
        open_tokenizer(Artifact.open(copied))
    assert caught.value.hint == "did you mean `lingolite`?"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ids": {"pad": 0, "start": 1, "end": 400, "unknown": 3}}, "outside the vocabulary of 365: end 400"),
        ({"ids": {"pad": -1, "start": 1, "end": 2, "unknown": 3}}, "the id `pad` must be at least 0, not -1"),
        ({"ids": {"pad": 0, "start": 1, "end": 0, "unknown": 3}}, "`pad`, `end` and `unknown` must be different"),
        ({"ids": {"pad": 3, "start": 1, "end": 2, "unknown": 4}}, "the tokenizer pads with 3, and the model with 0"),
        ({"frame": {"language_tag": "<tag>"}}, "language_tag must hold {language} once"),
        ({"never_generated": [2]}, "never_generated must not hold the end id 2"),
        ({"beginning": 1}, "unknown field `beginning`"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(copied: Path, change: dict, reason: str) -> None:
    manifest = json.loads((copied / MANIFEST_NAME).read_text())
    manifest["tokenizer"] = change
    (copied / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(LingoLiteError, match=re.escape(reason)):
        Artifact.open(copied)


def test_a_tokenizer_that_is_not_what_the_entry_says_is_refused(copied: Path) -> None:
    described = TokenizerDescription(ids=SpecialIds(start=2, end=1))
    write_manifest(copied, msgspec.structs.replace(Artifact.open(copied).manifest, tokenizer=described))
    with pytest.raises(LingoLiteError, match="`<s>` has id 1, not 2") as caught:
        open_tokenizer(Artifact.open(copied))
    assert "--pad_id=0 --bos_id=2 --eos_id=1 --unk_id=3" in str(caught.value.hint)


def test_languages_are_read_from_a_frame(tiny: Artifact) -> None:
    tokenizer = open_tokenizer(tiny)
    framed = tokenizer.encode_source("She reads.", ("da", "en"), max_length=30).ids
    assert tokenizer.framed_languages(framed) == ("da", "en")
    assert tokenizer.framed_languages(framed[:4]) == (None, None), "shorter than a frame"
    assert tokenizer.framed_languages(framed[:-1]) == (None, None), "its last id is no tag"


def test_a_frame_spells_and_recognizes_tags() -> None:
    frame = Frame(source_prefix=(TARGET_TAG, "<go>"), source_suffix=("<go>",), language_tag=">>{language}<<")
    assert frame.tag("da") == ">>da<<"
    assert [frame.tagged_language(piece) for piece in (">>da<<", ">><<", "<da>", "da<<")] == ["da", None, None, None]
    assert (frame.num_source_tokens, frame.pieces) == (3, ("<go>",))
    assert SOURCE_TAG not in frame.pieces


def test_the_documentation_shows_lingolites_own_format() -> None:
    text = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
    (shown,) = re.findall(r"```json\n(\"tokenizer\": .*?)```", text, flags=re.DOTALL)
    described = json.loads("{" + shown + "}")["tokenizer"]
    assert described == json.loads(msgspec.json.encode(TokenizerDescription()))
