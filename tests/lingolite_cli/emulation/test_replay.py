"""Goldens replayed on this machine by the command and in a recipe, and platforms that are not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

from lingolite_cli.artifact import Artifact
from lingolite_cli.emulation.platforms import PLATFORMS, find_platform, missing_part, platforms_root
from lingolite_cli.emulation.preparing import prepare
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.testing.routes import convert_with, converter

Command = Callable[..., Outcome]
NUMPY = "numpy==2.4.6\n"
RECIPE = """\
schema = 1
name = "replay"

[inputs]
model = { bundle = "BUNDLE" }

[[steps]]
id = "onnx"
uses = "export"
options = { test = false }

[[steps]]
id = "device"
uses = "export"
format = "device"
model = "onnx"

[[steps]]
id = "replay"
uses = "replay"
model = "device"
platforms = ["native", "arm64"]
if_prepared = true
"""


@pytest.fixture(scope="module")
def onnx(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return convert_with(converter("onnx"), tiny, tmp_path_factory.mktemp("replay") / "onnx")


@pytest.fixture(autouse=True)
def nothing_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def changed_copy(artifact: Artifact, path: Path) -> Path:
    """A copy with another text in its first golden that has one, and digests that fit."""
    copy = Path(shutil.copytree(artifact.path, path))
    golden = copy / "golden.json"
    text = golden.read_text(encoding="utf-8")
    found = next(one["text"] for one in json.loads(text)["sentences"] if one["text"])
    golden.write_text(text.replace(json.dumps(found, ensure_ascii=False), '"something else"', 1), encoding="utf-8")
    sums = (copy / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = [line for line in sums if not line.endswith("golden.json")]
    (copy / "SHA256SUMS").write_text("".join(f"{line}\n" for line in sums), encoding="utf-8")
    manifest = json.loads((copy / "lingolite.json").read_text(encoding="utf-8"))
    for name in ("golden.json", "SHA256SUMS"):
        manifest["files"][name] = {"size_bytes": (copy / name).stat().st_size, "sha256": sha256_file(copy / name)}
    (copy / "lingolite.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def test_files_without_goldens_are_packed_and_replayed(lingolite: Command, onnx: Artifact, tmp_path: Path) -> None:
    made = convert_with(converter("device"), onnx, tmp_path / "app")
    for candidate in (onnx.path, made.path):
        outcome = lingolite("verify", candidate, "--on", "native", "--json")
        assert outcome.code == 0, outcome.err
        (platform,) = json.loads(outcome.out)["platforms"]
        assert (platform["platform"], platform["num_equal"], platform["num_goldens"]) == ("native", 17, 17)
        assert platform["processor"]
        assert platform["runtime"].startswith("onnxruntime")
    broken = lingolite("verify", changed_copy(made, tmp_path / "changed"), "--on", "native")
    assert broken.code == 3
    assert "16 of 17 equal" in broken.out
    assert "not 'something else'" in broken.out


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["--on", "arm65"], "there is no platform `arm65`", "did you mean `arm64`?"),
        (["--on", "arm64"], "platform `arm64` is not prepared: qemu-aarch64 is not there", "--on arm64 --prepare"),
        (["--prepare"], "--prepare without --on", "name what to prepare"),
        (["--on", "native", "--budget", "size_mb_max=1"], "--budget has no part in --on", "two steps"),
        (["--on", "native", "--threads", "2"], "--threads has no part in --on", "two steps"),
    ],
    ids=["unknown", "not prepared", "prepare alone", "a budget", "threads"],
)
def test_what_cannot_be_replayed_is_refused(
    arguments: list[str], said: str, hint: str, lingolite: Command, onnx: Artifact
) -> None:
    outcome = lingolite("verify", onnx.path, *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert hint in outcome.err


def test_a_bundle_has_no_goldens(lingolite: Command, tiny: Artifact) -> None:
    outcome = lingolite("verify", tiny.path, "--on", "native")
    assert outcome.code == 2
    assert "format bundle has no goldens to replay" in outcome.err


def test_a_page_without_its_browser_is_refused_or_left_out(
    lingolite: Command, tiny: Artifact, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = project / "page"
    shutil.copytree(tiny.path, page)
    manifest = json.loads((page / "lingolite.json").read_text(encoding="utf-8"))
    (page / "lingolite.json").write_text(json.dumps({**manifest, "format": "web"}), encoding="utf-8")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(project / "none"))
    monkeypatch.setenv("PATH", str(project / "none"))
    refused = lingolite("verify", "page", "--on", "native")
    assert refused.code == 2
    assert "backend `chromium`" in refused.err  # it has no Playwright, or no Chromium
    assert "`lingolite plugins show chromium` says how to install it" in refused.err
    elsewhere = lingolite("verify", "page", "--on", "arm64")
    assert elsewhere.code == 2
    assert "backend `chromium` replays artifacts of format web on native only" in elsewhere.err
    recipe = RECIPE.replace("BUNDLE", "page").replace('model = "device"', 'model = "inputs.model"')
    steps = recipe.split("[[steps]]")
    (project / "replay.toml").write_text(
        f"{steps[0]}[[steps]]{steps[3]}".replace('["native", "arm64"]', '["native"]'), encoding="utf-8"
    )
    ran = lingolite("run", "replay.toml")
    assert ran.code == 0, ran.err
    assert "not run: backend `chromium`" in ran.out


def test_without_apt_nothing_is_prepared_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LingoLiteError, match="apt-get is missing"):
        prepare(find_platform("arm64"), NUMPY, note=lambda text: None)
    assert list(platforms_root().iterdir()) == []
    assert missing_part(find_platform("arm64"), NUMPY) == "qemu-aarch64 is not there"
    assert missing_part(find_platform("native"), NUMPY) is None


def test_a_recipe_replays_and_says_what_was_left_out(lingolite: Command, tiny: Artifact, project: Path) -> None:
    (project / "replay.toml").write_text(RECIPE.replace("BUNDLE", str(tiny.path)), encoding="utf-8")
    outcome = lingolite("run", "replay.toml")
    assert outcome.code == 0, outcome.err
    assert "17 of 17 equal" in outcome.out
    assert "not run: platform `arm64` is not prepared" in outcome.out
    (project / "replay.toml").write_text(
        RECIPE.replace("BUNDLE", str(tiny.path)).replace("if_prepared = true", ""), encoding="utf-8"
    )
    refused = lingolite("recipes", "check", "replay.toml")
    assert refused.code == 2
    assert "step `replay`, `platforms`: platform `arm64` is not prepared" in refused.err


def test_platforms_are_listed_where_they_are_named(lingolite: Command) -> None:
    text = lingolite("verify", "--help").out
    for name in PLATFORMS:
        assert name in text
