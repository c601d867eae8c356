"""A family that this distribution does not know is imported by a third-party package of forty lines, and translates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from command_line import install_distribution, run_command

from lingolite_cli.architecture.architecture import Architecture, Learned
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.architecture.tensors import tensor_shapes
from lingolite_cli.artifact import Artifact
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_cli.tokenization.foreign_texts import train_model

PACKAGE = Path(__file__).parents[1] / "third_party" / "lagoon"
SIZES = {"d_model": 12, "n_encoder_layers": 2, "n_decoder_layers": 1, "n_heads": 3, "n_kv_heads": 1, "d_ff": 20}


def test_a_third_party_importer_brings_a_family(project: Path, tmp_path: Path) -> None:
    lines = (PACKAGE / "lagoon_importer" / "__init__.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 40
    site = install_distribution(PACKAGE, tmp_path / "site")
    model = train_model(unk_id=0, bos_id=1, eos_id=2, pad_id=3)
    from sentencepiece import SentencePieceProcessor

    sizes = {**SIZES, "vocab_size": SentencePieceProcessor(model_proto=model).GetPieceSize(), "max_seq_len": 40}
    directory = tmp_path / "lagoon"
    directory.mkdir()
    (directory / "lagoon.json").write_text(json.dumps(sizes))
    (directory / "lagoon.spm").write_bytes(model)
    network = Architecture(
        **sizes,
        norm="layer",
        norm_place="post",
        final_norm=False,
        activation="gelu",
        positions=Learned(),
        tie_embeddings=False,
        biases=True,
        logits_bias=True,
        pad_token_id=3,
    )
    random = np.random.default_rng(4)
    shapes = {name.replace(".", "/"): shape for name, shape in tensor_shapes(network).items()}
    drawn = {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(directory / "lagoon.npz", **drawn)
    outcome = run_command("import", directory, "--out", tmp_path / "bundle", cwd=project, plugins=[site])
    assert outcome.code == 0, outcome.err
    bundle = Artifact.open(tmp_path / "bundle")
    assert bundle.manifest.model == network
    reference = Reference(Weights.read(bundle))
    source, mask = np.array([[5, 6, 2]]), np.ones((1, 3), np.bool_)
    assert np.isfinite(reference.decode(np.array([[3, 7]]), reference.encode(source, mask), mask)).all()
    asked = ("translate", "the fox", "--model", tmp_path / "bundle", "--backend", "cached", "--languages", "en-da")
    translated = run_command(*asked, cwd=project, plugins=[site])
    assert translated.code == 0, translated.err
