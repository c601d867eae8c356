"""`lingolite inspect`: what is told of an artifact, of every kind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

from lingolite_cli.architecture.tensors import tensor_shapes
from lingolite_cli.artifact import Artifact
from lingolite_cli.weights.bundle import read_tensors

Command = Callable[..., Outcome]


def test_a_bundle_tells_its_network_weights_languages_and_origin(lingolite: Command, project: Path) -> None:
    artifact = Artifact.open(project / "model")
    found = lingolite("inspect", "model", "--json").json
    assert found["num_parameters"] == sum(tensor.size for tensor in read_tensors(artifact).values())
    assert found["weights"] == [
        {
            "dtype": "F32",
            "num_tensors": len(tensor_shapes(artifact.manifest.model)),
            "num_values": found["num_parameters"],
            "size_bytes": 4 * found["num_parameters"],
        }
    ]
    assert found["size_bytes"] == sum(found["files"].values()) == artifact.size_bytes
    assert (found["digest"], found["languages"]) == (artifact.digest, list(artifact.manifest.languages))
    assert (found["licence"], found["judgement"], found["trained_on"]) == (None, None, "sentences")
    shown = lingolite("inspect").out  # of the project
    assert f"{found['num_parameters']:,}" in shown
    assert "verdict      no run of this project measured it" in shown


@pytest.mark.parametrize(
    ("make", "scheme", "told"),
    [
        (("quantize", "--method", "dynamic-int8"), "dynamic-int8", "values of int8"),
        (("quantize", "--method", "int4"), "int4", "values of packed 4-bit"),
        (("quantize", "--method", "bf16"), "bf16", "values of bfloat16"),
        (("export", "--format", "onnx", "--no-test"), None, "weights      float32"),
        (("export", "--format", "ctranslate2"), None, "format       ctranslate2"),
    ],
    ids=["int8", "int4", "bf16", "onnx", "ctranslate2"],
)
def test_every_kind_of_artifact_is_told(
    lingolite: Command, project: Path, make: tuple[str, ...], scheme: str | None, told: str
) -> None:
    assert lingolite(*make, "--out", "made").code == 0
    found = lingolite("inspect", "made", "--json").json
    assert found["scheme"] == scheme
    assert found["made_from"][0]["path"] == str(project / "model")
    assert found["model"] == lingolite("inspect", "--json").json["model"]
    assert told in lingolite("inspect", "made").out


def test_the_licence_is_that_of_the_directory_or_of_its_model_card(lingolite: Command, project: Path) -> None:
    (project / "LICENSE").write_text("Licence of the project\n")
    assert lingolite("inspect", "--json").json["licence"] is None
    (project / "README.md").write_text("# Model card: tiny\n")
    assert lingolite("inspect", "--json").json["licence"] == "Licence of the project"
    (project / "model" / "LICENSE").write_text("\n  Apache License\n  Version 2.0\n\nTerms")
    assert lingolite("inspect", "--json").json["licence"] == "Apache License, Version 2.0"


def test_the_licence_that_a_foreign_model_stated_comes_first(lingolite: Command, project: Path) -> None:
    manifest = json.loads((project / "model/lingolite.json").read_text())
    (project / "model/lingolite.json").write_text(json.dumps({**manifest, "licence": "MPL-2.0"}))
    (project / "model/LICENSE").write_text("Apache License")
    assert "licence      MPL-2.0\n" in lingolite("inspect").out


def test_the_last_verdict_is_told(with_echo: Command, project: Path) -> None:
    ran = with_echo("run", "recipes/small.toml", "--json")
    made = next(step["result"]["artifact"] for step in ran.json["steps"] if step["id"] == "half")
    shutil.copytree(project / "runs" / "small" / ran.json["id"] / made["path"], project / "half")
    judgement = with_echo("inspect", "half", "--json").json["judgement"]
    assert (judgement["run"], judgement["system"], judgement["verdict"]) == (ran.json["id"], "shipped", "pass")
    assert judgement["num_budgets"] == 2
    assert "as `shipped` of small" in with_echo("inspect", "half").out


def test_a_damaged_artifact_is_told_as_such(lingolite: Command, project: Path) -> None:
    weights = project / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    outcome = lingolite("inspect", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert "the artifact is damaged or half-copied" in outcome.err
