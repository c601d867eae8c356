"""What an ONNX artifact says besides its graphs is held against the bundle; `verify` names what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_command
from lingolite_onnx.data import data_differences

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT8, Artifact
from lingolite_cli.testing.routes import convert_with, converter
from tests.lingolite_cli.evaluation.planted_faults import plant

CONFIG, MANIFEST = "export_config.json", "lingolite.json"


def put(name: str, *place: str | int, value: Any) -> Callable[[Path], None]:
    """Another value in a JSON file."""

    def change(directory: Path) -> None:
        values = json.loads((directory / name).read_text(encoding="utf-8"))
        *outer, last = place
        inner = values
        for key in outer:
            inner = inner[key]
        inner[last] = value
        (directory / name).write_text(json.dumps(values), encoding="utf-8")

    return change


FAULTS = [
    (put(CONFIG, "special_ids", "eos", value=7), "export_config.json: special_ids.eos is 7, not 2"),
    (put(CONFIG, "max_seq_len", value=4096), "export_config.json: max_seq_len is 4096, not 32"),
    (put(CONFIG, "model", "vocab_size", value=99), "export_config.json: model.vocab_size is 99, not"),
    (put(CONFIG, "language_ids", "da", value=1), "export_config.json: language_ids.da is 1, not"),
    (put(CONFIG, "decoding_defaults", "max_length", value=1), "export_config.json: decoding_defaults.max_length is 1"),
    (put(CONFIG, "source_frame", "example_ids", 0, value=1), "export_config.json: source_frame.example_ids[0] is 1"),
    (put(CONFIG, "graphs", "decoder", "inputs", 0, "name", value="x"), "graphs.decoder.inputs[0].name is "),
    (put(CONFIG, "weights", value="float32"), 'export_config.json: weights is "float32", not "int8"'),
    (put(MANIFEST, "details", "max_seq_len", value=9), "lingolite.json: details: max_seq_len is 9, not 32"),
    (put(MANIFEST, "details", "weights", value="float32"), 'lingolite.json: details: weights is "float32", not "int8"'),
    (lambda directory: (directory / CONFIG).write_text("[" * 9), "export_config.json is not JSON: "),
    (lambda directory: (directory / CONFIG).unlink(), "export_config.json is missing"),
]


@pytest.mark.parametrize(("fault", "line"), FAULTS, ids=[line for _, line in FAULTS])
def test_a_description_that_is_not_the_bundles_is_named(
    fault: Callable[[Path], None],
    line: str,
    exported: Callable[..., Artifact],
    fixture_bundles: dict[str, Artifact],
    tmp_path: Path,
) -> None:
    artifact, bundle = exported(BUNDLE_INT8, max_seq_len=32), fixture_bundles[BUNDLE_INT8]
    assert data_differences(artifact, bundle) == []
    found = data_differences(plant(artifact, tmp_path / "faulty", fault), bundle)
    assert line in found[0]


def test_files_of_either_profile_and_with_a_shortlist_say_what_the_bundle_says(
    wide_bundles: dict[str, Artifact], ort_exported: Callable[..., Artifact], shortlisted: Callable[..., Artifact]
) -> None:
    assert data_differences(ort_exported(BUNDLE), wide_bundles[BUNDLE]) == []
    assert data_differences(shortlisted(BUNDLE_INT8), wide_bundles[BUNDLE_INT8]) == []


@pytest.mark.slow
def test_verify_names_what_an_exported_file_says_otherwise_and_exits_3(tiny: Artifact, tmp_path: Path) -> None:
    artifact = convert_with(converter("onnx"), tiny, tmp_path / "onnx")
    faulty = plant(artifact, tmp_path / "faulty", put(CONFIG, "special_ids", "eos", value=7))
    (tmp_path / "test.tsv").write_text("Where is the harbour?\tHvor er havnen?\n" * 8, encoding="utf-8")
    arguments = ["--model", tiny.path, "--source", tmp_path / "test.tsv", "--languages", "en-da"]
    # The tiny model translates nothing: only what was exported is asked.
    (tmp_path / "lingolite.toml").write_text("schema = 1\n", encoding="utf-8")
    outcome = run_command("verify", faulty.path, *arguments, "--allow-implausible-reference", cwd=tmp_path)
    assert outcome.code == 3, outcome.err
    assert "a file differs: export_config.json: special_ids.eos is 7, not 2" in outcome.out
