"""Architectures of families of models, each with small sizes that are all different, so that a confused axis shows."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.architecture.architecture import (
    Architecture,
    Learned,
    NoPositions,
    Relative,
    Sinusoidal,
)
from lingolite_cli.artifact import BUNDLE, TOKENIZER_NAME, Artifact, Manifest, Provenance, write_manifest
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.testing.tiny import random_weights, tiny_tokenizer
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.weights.bundle import write_tensors

_SIZES = Architecture(
    vocab_size=67,
    d_model=48,
    n_encoder_layers=3,
    n_decoder_layers=2,
    n_heads=6,
    n_kv_heads=6,
    d_ff=80,
    max_seq_len=40,
    dropout=0.0,
)
_MARIAN = msgspec.structs.replace(
    _SIZES,
    norm="layer",
    norm_epsilon=1e-5,
    norm_place="post",
    final_norm=False,
    gated=False,
    biases=True,
    positions=Sinusoidal(divisor=24),
    logits_bias=True,
)
_T5 = msgspec.structs.replace(
    _SIZES,
    d_head=16,
    gated=False,
    activation="relu",
    positions=Relative(buckets=8, max_distance=20),
    embedding_scale=1.0,
    attention_scale=1.0,
    output_scale=48**-0.5,
)

FAMILIES: dict[str, Architecture] = {
    "lingolite": msgspec.structs.replace(_SIZES, n_heads=3, n_kv_heads=1),
    "opus-mt": _MARIAN,
    "opus-mt of two vocabularies": msgspec.structs.replace(_MARIAN, source_vocab_size=59, tie_embeddings="decoder"),
    "firefox": msgspec.structs.replace(
        _MARIAN, norm_epsilon=1e-6, activation="relu", positions=Sinusoidal(divisor=23), decoder_recurrence="ssru"
    ),
    "nllb": msgspec.structs.replace(
        _MARIAN,
        norm_place="pre",
        final_norm=True,
        activation="relu",
        positions=Sinusoidal(divisor=23, offset=2),
        logits_bias=False,
    ),
    "t5": _T5,
    "madlad": msgspec.structs.replace(
        _T5, gated=True, activation="gelu_tanh", output_scale=1.0, tie_embeddings="embeddings"
    ),
    "learned positions, gelu": msgspec.structs.replace(
        _MARIAN, positions=Learned(offset=2), activation="gelu", tie_embeddings=False, n_kv_heads=3
    ),
    "a recurrence without positions": msgspec.structs.replace(
        _SIZES, positions=NoPositions(), decoder_recurrence="ssru", gated=True, biases=True, n_kv_heads=2
    ),
}


def family_bundle(path: Path, name: str) -> Artifact:
    """A float32 bundle of random weights of a family with LingoLite's tokenizer; its vocabularies are the tokenizer's,
    where the source's is one."""
    with atomic_directory(path) as directory:
        tokenizer = directory / TOKENIZER_NAME
        tokenizer.write_bytes(tiny_tokenizer())
        size = len(read_tokenizer(tokenizer).target_pieces)
        model = msgspec.structs.replace(FAMILIES[name], vocab_size=size)
        write_tensors(random_weights(model, seed=23), directory)
        made_by = Provenance(operation="random weights")
        write_manifest(directory, Manifest(format=BUNDLE, model=model, languages=("en", "da"), made_by=made_by))
    return Artifact.open(path)
