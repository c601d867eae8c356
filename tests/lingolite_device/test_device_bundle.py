"""What lies in a device bundle, and what replays it without LingoLite."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command_line import Outcome

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import make_goldens, read_goldens
from lingolite_cli.testing.routes import convert_with, converter
from tests.families import family_bundle
from tests.lingolite_importers.hugging_face_files import write_opus_mt


def replay(directory: Path) -> subprocess.CompletedProcess[str]:
    """`run_offline.py` of a bundle in a process that sees no LingoLite."""
    blocked = "import sys; sys.modules['lingolite_cli'] = sys.modules['sentencepiece'] = None; sys.argv = sys.argv[1:]"
    code = f"{blocked}; import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    script = str(directory / "run_offline.py")
    return subprocess.run(
        [sys.executable, "-c", code, script, str(directory)],
        env={"PYTHONPATH": str(directory), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_goldens_are_replayed_without_lingolite(device: Artifact) -> None:
    done = replay(device.path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("17 of 17 goldens replayed with onnxruntime")


def test_goldens_of_another_language_and_of_a_file_are_replayed(int8_onnx: Artifact, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("Hvor er havnen?\n\nnej\n", encoding="utf-8")
    options = {"sentences": str(tmp_path / "lines"), "source_language": "da", "target_language": "en"}
    made = convert_with(converter("device"), int8_onnx, tmp_path / "app", options=options)
    goldens = read_goldens(made.file("golden.json"))
    assert goldens.languages == ("da", "en")
    assert [golden.source for golden in goldens.sentences] == ["Hvor er havnen?", "", "nej"]
    assert replay(made.path).returncode == 0


@pytest.mark.parametrize("name", ["firefox", "t5"])
def test_families_are_replayed(name: str, tmp_path: Path) -> None:
    onnx = convert_with(converter("onnx"), family_bundle(tmp_path / "bundle", name), tmp_path / "onnx")
    made = convert_with(converter("device"), onnx, tmp_path / "app")
    done = replay(made.path)
    assert done.returncode == 0, done.stderr


def test_a_model_with_two_tokenizers_and_a_list_of_pieces_is_replayed(
    lingolite: Callable[..., Outcome], tmp_path: Path
) -> None:
    write_opus_mt(tmp_path / "opus")
    for arguments in (
        ("import", tmp_path / "opus", "--out", tmp_path / "bundle"),
        ("export", "--model", tmp_path / "bundle", "--out", tmp_path / "onnx"),
        ("export", "--model", tmp_path / "onnx", "--format", "device", "--out", tmp_path / "app"),
    ):
        assert lingolite(*arguments).code == 0
    done = replay(tmp_path / "app")
    assert done.returncode == 0, done.stderr


def test_a_changed_file_and_a_changed_golden_are_found(device: Artifact, tmp_path: Path) -> None:
    copy = shutil.copytree(device.path, tmp_path / "app")
    goldens = json.loads((copy / "golden.json").read_text(encoding="utf-8"))
    goldens["sentences"][0]["text"] = "something else"
    (copy / "golden.json").write_text(json.dumps(goldens), encoding="utf-8")
    assert "missing or changed: golden.json" in replay(copy).stderr
    sums = (copy / "SHA256SUMS").read_text(encoding="utf-8").splitlines(keepends=True)
    (copy / "SHA256SUMS").write_text("".join(line for line in sums if "golden.json" not in line), encoding="utf-8")
    done = replay(copy)
    assert done.returncode == 1
    assert "text: " in done.stderr
    assert done.stdout.startswith("16 of 17")


def test_every_file_but_the_manifest_has_its_sha256(device: Artifact) -> None:
    lines = device.file("SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(sums) == set(device.manifest.files) - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((device.path / name).read_bytes()).hexdigest() == digest


def test_the_model_files_are_those_of_the_exported_artifact(device: Artifact, int8_onnx: Artifact) -> None:
    for name, entry in int8_onnx.manifest.files.items():
        assert device.manifest.files[name] == entry
    assert device.manifest.details["carried_digest"] == int8_onnx.digest


def test_a_zip_holds_the_same_files_and_two_have_equal_bytes(
    device: Artifact, int8_onnx: Artifact, tmp_path: Path
) -> None:
    made = [
        convert_with(converter("device"), int8_onnx, tmp_path / name, options={"zip": True}) for name in ("one", "two")
    ]
    assert made[0].manifest.files == made[1].manifest.files
    assert set(made[0].manifest.files) == {"app.zip", "tokenizer.model"}
    with zipfile.ZipFile(made[0].file("app.zip")) as packed:
        packed.extractall(tmp_path / "unpacked")
    found = {path.name: path.read_bytes() for path in (tmp_path / "unpacked").iterdir()}
    assert found == {name: (device.path / name).read_bytes() for name in device.manifest.files}
    assert replay(tmp_path / "unpacked").returncode == 0


def test_a_zip_is_not_opened_by_a_backend(int8_onnx: Artifact, tmp_path: Path) -> None:
    made = convert_with(converter("device"), int8_onnx, tmp_path / "app", options={"zip": True})
    with pytest.raises(LingoLiteError, match="packed into one file"):
        make_goldens(made, sources=["a"], languages=("en", "da"))


def test_the_profile_that_phones_cannot_run_is_refused(
    lingolite: Callable[..., Outcome], int8_onnx: Artifact, tmp_path: Path
) -> None:
    copy = shutil.copytree(int8_onnx.path, tmp_path / "onnx")
    config = json.loads((copy / "export_config.json").read_text(encoding="utf-8"))
    changed = json.dumps({**config, "profile": "optimized"}).encode()
    (copy / "export_config.json").write_bytes(changed)
    manifest = json.loads((copy / "lingolite.json").read_text(encoding="utf-8"))
    manifest["files"]["export_config.json"] = {
        "size_bytes": len(changed),
        "sha256": hashlib.sha256(changed).hexdigest(),
    }
    (copy / "lingolite.json").write_text(json.dumps(manifest), encoding="utf-8")
    outcome = lingolite("export", "--model", copy, "--format", "device", "--out", tmp_path / "app")
    assert outcome.code == 2
    assert "the profile `optimized`, whose operators the packages for phones do not have" in outcome.err
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sentences": "nowhere.txt"}, "no such file: nowhere.txt"),
        ({"source_language": "en"}, "are given together"),
        ({"source_language": "en", "target_language": "xx"}, "does not know the language `xx`"),
        ({"backend": "eager"}, "does not run format onnx"),
        ({"engine": "onnx"}, "`engine`"),
    ],
    ids=["no file", "half a pair", "unknown language", "another backend", "no such option"],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], said: str, lingolite: Callable[..., Outcome], int8_onnx: Artifact, tmp_path: Path
) -> None:
    given = [part for name, value in options.items() for part in ("--option", f"{name}={value}")]
    outcome = lingolite("export", "--model", int8_onnx.path, "--format", "device", "--out", tmp_path / "app", *given)
    assert outcome.code == 2
    assert said in outcome.err
    assert not (tmp_path / "app").exists()


def test_the_licence_of_the_weights_is_told(device: Artifact, int8_onnx: Artifact, tmp_path: Path) -> None:
    assert "does not state" in device.file("WEIGHTS-LICENCE.txt").read_text(encoding="utf-8")
    licensed = Artifact(int8_onnx.path, msgspec.structs.replace(int8_onnx.manifest, licence="CC-BY-4.0"))
    made = convert_with(converter("device"), licensed, tmp_path / "app")
    assert made.file("WEIGHTS-LICENCE.txt").read_text(encoding="utf-8").endswith(": CC-BY-4.0\n")


def test_the_guide_names_every_file_and_the_pinned_versions(device: Artifact) -> None:
    guide = device.file("README.md").read_text(encoding="utf-8")
    for name in device.manifest.files:
        assert f"`{name}`" in guide or name in ("README.md", "exported.json")
    assert 'implementation("com.microsoft.onnxruntime:onnxruntime-android:1.27.0")' in guide
    assert "session.x64quantprecision" in guide
