"""What a device bundle says besides its model files is held against the bundle behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lingolite_device.backend import DeviceBackend
from lingolite_device.options import DeviceBackendOptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.golden_comparison import golden_differences
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_cli.evaluation.planted_data import appended, edited
from tests.lingolite_cli.evaluation.planted_faults import plant


def golden(place: str, value: Any) -> Callable[[Path], None]:
    return edited("golden.json", lambda one: one["sentences"][0].__setitem__(place, value))


FAULTS = [
    (
        edited("device.json", lambda one: one["tokenizer"].__setitem__("max_length", 7)),
        "tokenizer.max_length is 7",
    ),
    (edited("device.json", lambda one: one["graphs"]["state"].pop()), "device.json: graphs.state has "),
    (
        edited("device.json", lambda one: one["decoding"].__setitem__("max_length", 7)),
        "json: decoding.max_length",
    ),
    (edited("exported.json", lambda one: one["model"].__setitem__("n_heads", 8)), "exported.json: model.n_heads is 8"),
    (
        edited("export_config.json", lambda one: one.__setitem__("max_seq_len", 9)),
        "config.json: max_seq_len is 9",
    ),
    (appended("LingoLite.kt"), "LingoLite.kt is not the file that was exported"),
    (appended("README.md"), "README.md is not the file that was exported"),
    (appended("WEIGHTS-LICENCE.txt"), "WEIGHTS-LICENCE.txt is not"),
    (appended("weights.bin"), "exported.json: files.weights.bin.sha256 is"),
    (golden("ids", [5, 6, 7]), "golden.json: sentences[0].ids has 3 entries"),
    (golden("text", "another"), 'golden.json: sentences[0].text is "another"'),
    (golden("tokens", [10**9]), "golden.json: a token is not one of"),
    (edited("golden.json", lambda one: one.__setitem__("artifact", "0" * 64)), "golden.json: artifact is "),
]


def differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    weights = Weights.read(bundle)
    arithmetic = DeviceBackend.arithmetic(artifact, bundle, DeviceBackendOptions())
    return [
        *DeviceBackend.data_differences(artifact, bundle),
        *golden_differences(artifact, bundle, weights, arithmetic),
    ]


@pytest.fixture(scope="module")
def bundle(int8_onnx: Artifact) -> Artifact:
    """What `device` was made of in the end."""
    return Artifact.open(int8_onnx.path.parent / "int8")


@pytest.mark.parametrize(("fault", "line"), FAULTS, ids=[line for _, line in FAULTS])
def test_what_is_not_the_bundles_is_named(
    fault: Callable[[Path], None], line: str, device: Artifact, bundle: Artifact, tmp_path: Path
) -> None:
    found = differences(plant(device, tmp_path / "faulty", fault), bundle)
    assert any(line in one for one in found), found
    assert "SHA256SUMS is not the file that was exported" in found


def test_an_unharmed_bundle_differs_in_nothing(device: Artifact, bundle: Artifact) -> None:
    assert differences(device, bundle) == []


def test_golden_tokens_that_the_bundle_would_not_choose_are_counted(
    device: Artifact, bundle: Artifact, tmp_path: Path
) -> None:
    def exchange(goldens: Any) -> None:
        first, second = goldens["sentences"][:2]
        for field in ("tokens", "text"):
            first[field], second[field] = second[field], first[field]

    found = differences(plant(device, tmp_path / "faulty", edited("golden.json", exchange)), bundle)
    assert "tokens are not those that the bundle ranks first" in found[-1]
