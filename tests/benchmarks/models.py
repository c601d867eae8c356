"""The models that engines are compared on: the starter, and presets with random weights.

Owns the bundles. A preset has 24,000 pieces: those of the starter's tokenizer, and others that no text is cut into. Its
translations never end, so that they are as long as they are allowed to be.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from safetensors.numpy import save_file
from sentencepiece import sentencepiece_model_pb2

from lingolite_cli.architecture.architecture import PRESETS, Architecture
from lingolite_cli.artifact import BUNDLE, TOKENIZER_NAME, WEIGHTS_NAME, Artifact, Manifest, Provenance, write_manifest
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.testing.tiny import IDS, random_weights

STARTER = Path(__file__).resolve().parent.parent.parent / "recipes" / "starter-en-da"
MODELS = ("starter", *PRESETS)
LANGUAGES = ("en", "da")
_SEED = 17


def make_bundle(name: str, path: Path) -> Path:
    """The bundle of the model called `name` at `path`, made unless it is there."""
    if path.exists():
        return path
    if name == "starter":
        shutil.copytree(STARTER / "model", path)
    else:
        _random_bundle(PRESETS[name], path)
    return path


def _random_bundle(config: Architecture, path: Path) -> None:
    with atomic_directory(path) as directory:
        (directory / TOKENIZER_NAME).write_bytes(_tokenizer(config.vocab_size))
        weights = random_weights(config, seed=_SEED)
        projection = "encoder.embedding" if config.tie_embeddings else "decoder.lm_head"
        weights[f"{projection}.weight"][IDS.end] = 0  # a logit of 0, which thousands of others are above
        save_file(weights, directory / WEIGHTS_NAME)
        manifest = Manifest(
            format=BUNDLE,
            model=msgspec.structs.replace(config, dropout=0.0),
            languages=LANGUAGES,
            made_by=Provenance(operation="random weights", options={"seed": _SEED}),
        )
        write_manifest(directory, manifest)


def _tokenizer(vocab_size: int) -> bytes:
    starter = Artifact.open(STARTER / "model", verify=False)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(starter.tokenizer_path.read_bytes())
    for number in range(len(model.pieces), vocab_size):
        unused = sentencepiece_model_pb2.ModelProto.SentencePiece.UNUSED
        model.pieces.add(piece=f"unused{number}", score=0.0, type=unused)
    model.trainer_spec.vocab_size = vocab_size
    data: bytes = model.SerializeToString()
    return data
