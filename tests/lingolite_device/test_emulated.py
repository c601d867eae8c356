"""Goldens on emulated processors: those that were prepared on this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.emulation.platforms import find_platform, missing_part, script_command
from lingolite_cli.emulation.replaying import replay_goldens, requirements_of
from lingolite_cli.evaluation.goldens import Golden, compare_goldens, read_goldens
from lingolite_cli.testing.routes import convert_with, converter

pytestmark = pytest.mark.device


def require_prepared(name: str, artifact: Artifact) -> None:
    missing = missing_part(find_platform(name), requirements_of(artifact))
    if missing is not None:
        pytest.skip(f"{name} is not prepared: {missing}")


@pytest.mark.parametrize("name", ["arm64", "x86-without-vnni"])
def test_int8_files_give_the_same_tokens(name: str, device: Artifact) -> None:
    require_prepared(name, device)
    replayed = replay_goldens(device, find_platform(name))
    assert replayed.num_equal == replayed.num_goldens == 17
    assert "emulated by qemu" in replayed.processor


@pytest.mark.parametrize("name", ["arm64", "x86-without-vnni"])
def test_litert_files_give_the_same_tokens(name: str, tiny: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    lite = convert_with(converter("litert"), tiny, tmp_path / "lite")
    made = convert_with(converter("device"), lite, tmp_path / "app")
    require_prepared(name, made)
    assert replay_goldens(made, find_platform(name)).num_equal == 17


def test_int8_products_saturate_without_the_setting_of_the_bundle(device: Artifact, tmp_path: Path) -> None:
    """What the setting is for. The same file is right everywhere else."""
    platform = find_platform("x86-without-vnni")
    require_prepared(platform.name, device)
    command, environment = script_command(platform, device.file("run_offline.py"), requirements_of(device))
    report = tmp_path / "replay.json"
    arguments = [str(device.path), "--plain", "--json", str(report)]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    found = msgspec.convert(msgspec.json.decode(report.read_bytes())["sentences"], list[Golden])
    assert compare_goldens(read_goldens(device.file("golden.json")).sentences, found)
