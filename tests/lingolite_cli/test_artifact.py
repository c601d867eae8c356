"""Artifacts: damage is found when they are opened, and they are written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Outcome, contents

from lingolite_cli.artifact import MANIFEST_NAME, TOKENIZER_NAME, WEIGHTS_NAME, Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory, write_atomic
from lingolite_cli.files.digests import canonical_json, sha256_file

Damage = Callable[[Path], None]


def truncate(bundle: Path) -> None:
    data = (bundle / WEIGHTS_NAME).read_bytes()
    (bundle / WEIGHTS_NAME).write_bytes(data[:-1])


def flip_a_bit(bundle: Path) -> None:
    data = bytearray((bundle / WEIGHTS_NAME).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / WEIGHTS_NAME).write_bytes(data)


def empty(bundle: Path) -> None:
    (bundle / WEIGHTS_NAME).write_bytes(b"")


def drop_the_tokenizer(bundle: Path) -> None:
    (bundle / TOKENIZER_NAME).unlink()


def drop_the_manifest(bundle: Path) -> None:
    (bundle / MANIFEST_NAME).unlink()


def cut_the_manifest(bundle: Path) -> None:
    data = (bundle / MANIFEST_NAME).read_bytes()
    (bundle / MANIFEST_NAME).write_bytes(data[: len(data) // 2])


def change_manifest(**changes: Any) -> Damage:
    def change(bundle: Path) -> None:
        manifest = json.loads((bundle / MANIFEST_NAME).read_text())
        (bundle / MANIFEST_NAME).write_text(json.dumps({**manifest, **changes}))

    return change


DAMAGES = [
    pytest.param(truncate, r"model\.safetensors has [\d,]+ bytes, not [\d,]+", id="truncated"),
    pytest.param(flip_a_bit, r"model\.safetensors was changed: its SHA-256 is not the one in the manifest", id="bit"),
    pytest.param(empty, r"model\.safetensors has 0 bytes", id="emptied"),
    pytest.param(drop_the_tokenizer, r"tokenizer\.model is missing", id="no tokenizer"),
    pytest.param(drop_the_manifest, r"is not an artifact: it has no lingolite\.json", id="no manifest"),
    pytest.param(cut_the_manifest, r"lingolite\.json is not a manifest: .* truncated", id="cut manifest"),
    pytest.param(change_manifest(colour="red"), r"is not a manifest: .*unknown field `colour`", id="unknown key"),
    pytest.param(change_manifest(schema=2), r"has schema 2; this version reads schema 1", id="schema"),
    pytest.param(
        change_manifest(files={"../outside": {"size_bytes": 1, "sha256": "0"}}),
        r"names a file outside the artifact: \.\./outside",
        id="parent",
    ),
    pytest.param(
        change_manifest(files={"/etc/hostname": {"size_bytes": 1, "sha256": "0"}}),
        r"names a file outside the artifact: /etc/hostname",
        id="absolute",
    ),
    pytest.param(
        change_manifest(model={"n_heads": 3, "d_model": 32}), r"n_heads 3 does not divide d_model 32", id="shape"
    ),
]


@pytest.fixture
def bundle(tiny: Artifact, tmp_path: Path) -> Path:
    """A bundle that may be damaged."""
    return Path(shutil.copytree(tiny.path, tmp_path / "bundle"))


def test_a_whole_artifact_opens(bundle: Path, tiny: Artifact) -> None:
    artifact = Artifact.open(bundle)
    assert artifact.manifest == tiny.manifest
    assert artifact.digest == tiny.digest
    names = [WEIGHTS_NAME, TOKENIZER_NAME]
    assert artifact.size_bytes == sum((bundle / name).stat().st_size for name in names)
    assert {name: entry.sha256 for name, entry in artifact.manifest.files.items()} == {
        name: sha256_file(bundle / name) for name in names
    }


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_damage_is_found_when_it_is_opened(bundle: Path, damage: Damage, message: str) -> None:
    damage(bundle)
    with pytest.raises(LingoLiteError, match=message):
        Artifact.open(bundle)


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
@pytest.mark.parametrize(
    "arguments",
    [("run", "recipes/small.toml"), ("translate", "hello"), ("quantize", "--out", "new"), ("eval",)],
    ids=lambda arguments: arguments[0],
)
def test_commands_refuse_a_damaged_model_before_any_work(
    with_echo: Callable[..., Outcome], project: Path, damage: Damage, message: str, arguments: tuple[str, ...]
) -> None:
    damage(project / "model")
    before = contents(project)
    outcome = with_echo(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    with pytest.raises(LingoLiteError, match=message) as error:
        Artifact.open(project / "model")
    first = outcome.err.splitlines()[0]
    assert first.startswith("error: ")
    assert error.value.message.split(":")[0] in first
    assert "Traceback" not in outcome.err
    assert contents(project) == before


def test_a_directory_that_is_none_has_a_hint(tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="no such directory") as error:
        Artifact.open(tmp_path / "none")
    assert error.value.hint is not None
    assert "lingolite import" in error.value.hint


def test_an_unlisted_file_changes_nothing(bundle: Path, tiny: Artifact) -> None:
    (bundle / "notes.txt").write_text("mine")
    assert Artifact.open(bundle).digest == tiny.digest


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "parent" / "made"
    with atomic_directory(target) as directory:
        (directory / "deep").mkdir()
        (directory / "deep" / "file").write_text("x")
        assert not target.exists()
        assert directory.parent == target.parent, "another file system could not be renamed from"
    assert contents(tmp_path) == {"parent/made/deep/file": b"x"}
    assert [path.name for path in target.parent.iterdir()] == ["made"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "replaced"])
def test_a_directory_that_was_interrupted_leaves_nothing(
    tmp_path: Path, failure: type[BaseException], existing: bool
) -> None:
    target = tmp_path / "made"
    if existing:
        target.mkdir()
        (target / "old").write_text("old")
    before = contents(tmp_path)

    def interrupted() -> None:
        with atomic_directory(target, overwrite=True) as directory:
            (directory / "file").write_text("half")
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["made"] if existing else [])


def test_what_exists_is_not_overwritten_unasked(tmp_path: Path) -> None:
    target = tmp_path / "made"
    target.mkdir()
    (target / "mine").write_text("precious")
    with pytest.raises(LingoLiteError, match="made exists") as error, atomic_directory(target):
        pytest.fail("the work began")
    assert error.value.hint == "choose another place, or pass --overwrite"
    assert contents(tmp_path) == {"made/mine": b"precious"}
    with atomic_directory(target, overwrite=True) as directory:
        (directory / "new").write_text("new")
    assert contents(tmp_path) == {"made/new": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_directory_that_is_removed_while_it_is_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "made"

    def removed() -> None:
        with atomic_directory(target) as directory:
            shutil.rmtree(target.parent)
            (directory / "file").write_text("late")

    with pytest.raises(LingoLiteError, match="cache was removed while something was written there"):
        removed()
    assert not target.parent.exists()


def test_a_file_that_is_missing_inside_is_no_removed_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_directory(tmp_path / "made"):
        (tmp_path / "no such file").read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(LingoLiteError, match="cannot write to"), atomic_directory(tmp_path / "file" / "made"):
        pytest.fail("the work began")
    with pytest.raises(LingoLiteError, match="cannot write"):
        write_atomic(tmp_path / "file" / "made.json", b"{}")


def test_a_file_is_replaced_in_one_go(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.json"
    write_atomic(file, b"old")
    with file.open("rb") as reader:
        write_atomic(file, b"new")
        assert reader.read() == b"old", "a reader sees the file that it opened"
    assert file.read_bytes() == b"new"
    assert [path.name for path in file.parent.iterdir()] == ["file.json"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(LingoLiteError, match=r"cannot write .*taken: Is a directory"):
        write_atomic(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_equal_values_have_the_same_json() -> None:
    assert canonical_json({"b": 1, "a": {"d": 2, "c": [1.5, None, "ø"]}}) == (
        '{"a":{"c":[1.5,null,"ø"],"d":2},"b":1}'.encode()
    )
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
