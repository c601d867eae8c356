"""What an architecture says in a manifest, and what it refuses by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lingolite_cli.architecture.architecture import Architecture, Relative, Rotary, Sinusoidal
from lingolite_cli.architecture.support import require_supported, require_trainable
from lingolite_cli.artifact import MANIFEST_NAME, Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing import tiny_bundle
from lingolite_cli.weights.bundle import read_tensors
from tests.families import FAMILIES

_ALWAYS = {
    *("vocab_size", "d_model", "n_encoder_layers", "n_decoder_layers", "n_heads", "n_kv_heads", "d_ff", "max_seq_len"),
    *("dropout", "tie_embeddings", "pad_token_id"),
}


def test_lingolites_own_features_are_left_out_of_a_manifest_however_they_were_given() -> None:
    spelled = Architecture(norm="rms", norm_epsilon=float("1e-6"), positions=Rotary(), output_scale=1.0)
    assert Architecture().to_dict().keys() == spelled.to_dict().keys() == _ALWAYS


@pytest.mark.parametrize("name", FAMILIES)
def test_an_architecture_is_what_its_json_says(name: str) -> None:
    encoded = msgspec.json.encode(FAMILIES[name])
    assert msgspec.json.decode(encoded, type=Architecture) == FAMILIES[name]
    assert msgspec.json.encode(msgspec.json.decode(encoded, type=Architecture)) == encoded


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("norm", "batch", r"'batch' - at `\$\.model\.norm`"),
        ("activation", "relu6", r"'relu6' - at `\$\.model\.activation`"),
        ("positions", {"kind": "alibi"}, r"'alibi' - at `\$\.model\.positions\.kind`"),
        ("positions", {"kind": "sinusoidal", "divisor": 0}, r"positions\.divisor must be between 1 and 131,072, not 0"),
        ("positions", {"kind": "relative", "buckets": 1 << 40}, r"positions\.buckets must be between 4 and"),
        ("tie_embeddings", "all", r"'all' - at `\$\.model\.tie_embeddings`"),
        ("decoder_recurrence", "lstm", r"'lstm' - at `\$\.model\.decoder_recurrence`"),
        ("decoder_recurrence", "ssru", r"`ssru` has no queries and keys"),
        ("layernorm_embedding", True, r"unknown field `layernorm_embedding`"),
        ("source_vocab_size", 1 << 40, r"source_vocab_size must be at most 16,777,216"),
        ("source_vocab_size", 50, r"source and target have an embedding each, which cannot be tied"),
        ("d_head", 1 << 40, r"d_head must be at most 65,536"),
        ("d_head", 7, r"head_dim 7 is odd; rotary positions need an even one"),
        ("attention_scale", 0.0, r"attention_scale must lie between 0 and a million, not 0\.0"),
        ("norm_epsilon", -1e-6, r"norm_epsilon must lie between 0 and a million"),
    ],
)
def test_what_is_unknown_or_absurd_is_refused_by_name(tmp_path: Path, field: str, value: Any, message: str) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    file = bundle.path / MANIFEST_NAME
    manifest = json.loads(file.read_text())
    manifest["model"][field] = value
    file.write_text(json.dumps(manifest))
    with pytest.raises(LingoLiteError, match=message):
        Artifact.open(bundle.path)


@pytest.mark.parametrize(
    "changes",
    [
        {"biases": True},
        {"norm": "layer"},
        {"d_head": 16384},
        {"positions": Relative(buckets=1 << 17, max_distance=1 << 17)},
        {"positions": Sinusoidal(divisor=7), "final_norm": False},
        {"tie_embeddings": "embeddings"},
    ],
)
def test_claims_are_held_against_the_tensors_before_anything_is_made_of_them(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    model = msgspec.structs.replace(bundle.manifest.model, **changes)
    claimed = Artifact(bundle.path, msgspec.structs.replace(bundle.manifest, model=model))
    with pytest.raises(LingoLiteError, match="do not fit its configuration"):
        read_tensors(claimed)


def test_an_engine_refuses_all_that_it_lacks_at_once() -> None:
    supported = {"norm": ("rms",), "positions": ("rotary", "none"), "biases": (False,), "gated": (True, False)}
    with pytest.raises(LingoLiteError) as refusal:
        require_supported(FAMILIES["opus-mt"], supported, engine="this engine", hint="take another")
    assert refusal.value.message == (
        "this engine does not have this architecture: it lacks norm layer, positions sinusoidal, biases true"
    )
    require_supported(FAMILIES["lingolite"], supported, engine="this engine", hint="take another")


def test_recurrent_decoders_are_not_trained() -> None:
    with pytest.raises(LingoLiteError, match="lacks decoder_recurrence ssru"):
        require_trainable(FAMILIES["firefox"], engine="a training")
    require_trainable(FAMILIES["opus-mt"], engine="a training")
