"""A tiny bundle with random weights, made in a second: what contracts run plugins on.

Owns its tokenizer, its shape and its weights. They are the same on every machine and in every run.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import sentencepiece

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.tensors import TensorSpec, tensor_specs
from lingolite_cli.artifact import BUNDLE, TOKENIZER_NAME, Artifact, Manifest, Provenance, write_manifest
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.tokenization.description import LINGOLITE, DecodingIds, TokenizerDescription
from lingolite_cli.tokenization.lingolite import special_pieces
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.weights.bundle import write_tensors

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray

LANGUAGES = ("en", "da")

IDS = DecodingIds(pad=LINGOLITE.ids.pad, start=LINGOLITE.ids.start, end=LINGOLITE.ids.end)
"""What a search must know of the tiny bundle's tokenizer, which has LingoLite's own format."""

SENTENCES = (
    "The boat sails at noon.",
    "Where is the harbour?",
    "A red house stands by the old road, and the gate is open.",
    "We ate bread and cheese.",
    "She reads.",
    "The train to the coast was late again, so they walked home in the rain.",
    "Nothing is as quiet as snow!",
)
"""Sources of different lengths."""

TRANSLATIONS = (
    "Båden sejler klokken tolv.",
    "Hvor er havnen?",
    "Et rødt hus står ved den gamle vej, og porten er åben.",
    "Vi spiste brød og ost.",
    "Hun læser.",
    "Toget til kysten var igen forsinket, så de gik hjem i regnen.",
    "Intet er så stille som sne!",
)
"""What they mean."""

_SHAPE = Architecture(
    d_model=32, n_encoder_layers=3, n_decoder_layers=2, n_heads=4, n_kv_heads=2, d_ff=64, max_seq_len=48, dropout=0.0
)

_GAIN = 2.0
"""Standard deviation of a layer's output for an input of 1: enough to outweigh what the layer is added to."""
_END_GAIN = 3.0
"""How much longer than others the embedding of the end token is: enough for about half of the hypotheses to end."""


def tiny_tokenizer(description: TokenizerDescription = LINGOLITE) -> bytes:
    """A SentencePiece model of about 360 pieces, with byte fallback and tags for `LANGUAGES`.

    Args:
        description: its special ids, and the frame whose pieces it has.
    """
    model, ids, frame, special = io.BytesIO(), description.ids, description.frame, special_pieces(description)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, *TRANSLATIONS]),
        model_writer=model,
        model_type="unigram",
        vocab_size=400,
        hard_vocab_limit=False,
        byte_fallback=True,
        pad_id=ids.pad,
        bos_id=ids.start if ids.start not in (ids.pad, ids.end) else -1,
        eos_id=ids.end,
        unk_id=ids.unknown,
        pad_piece="<pad>",
        user_defined_symbols=[*map(frame.tag, LANGUAGES), *(piece for piece in frame.pieces if piece not in special)],
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def tiny_bundle(
    path: Path, *, seed: int = 17, tie_embeddings: bool = True, description: TokenizerDescription | None = None
) -> Artifact:
    """Make a float32 bundle at `path`.

    Args:
        path: the new directory.
        seed: of the weights.
        tie_embeddings: one matrix for encoder, decoder and output projection, as in most models.
        description: of the tokenizer; None for LingoLite's own format, which the manifest then does not spell out.

    Raises:
        LingoLiteError: `path` exists.
    """
    with atomic_directory(path) as directory:
        tokenizer = directory / TOKENIZER_NAME
        described = description or LINGOLITE
        tokenizer.write_bytes(tiny_tokenizer(described))
        model = msgspec.structs.replace(
            _SHAPE,
            vocab_size=len(read_tokenizer(tokenizer, described, languages=LANGUAGES).target_pieces),
            tie_embeddings=tie_embeddings,
            pad_token_id=described.ids.pad,
        )
        write_tensors(random_weights(model, seed=seed, end=described.ids.end), directory)
        manifest = Manifest(
            format=BUNDLE,
            model=model,
            languages=LANGUAGES,
            tokenizer=description or msgspec.UNSET,
            decoding=DecodingOptions(max_length=model.max_seq_len),
            made_by=Provenance(operation="random weights", options={"seed": seed}),
        )
        write_manifest(directory, manifest)
    return Artifact.open(path)


def random_weights(model: Architecture, *, seed: int, end: int = LINGOLITE.ids.end) -> dict[str, FloatArray]:
    """Weights of a float bundle, with which hypotheses vary and some of them end."""
    random = np.random.default_rng(seed)
    # Embeddings first: the bundle's numbers, and what tests know of them, hang on the order in which they are drawn.
    specs = sorted(tensor_specs(model), key=lambda spec: not spec.has_vocabulary)
    return {spec.key: _drawn(spec, model, random, end=end) for spec in specs}


def _drawn(spec: TensorSpec, model: Architecture, random: np.random.Generator, *, end: int) -> FloatArray:
    if spec.has_vocabulary:
        return _embedding(spec, model, random, end=end)
    if spec.is_matrix:
        return _matrix(spec.shape, random)
    return _norm(model, random) if spec.role == "norm" else _shift(spec.shape, random)


def _matrix(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    drawn: FloatArray = random.standard_normal(shape).astype(np.float32)
    return drawn * np.float32(_GAIN / shape[-1] ** 0.5)


def _norm(model: Architecture, random: np.random.Generator) -> FloatArray:
    return random.uniform(0.5, 1.5, model.d_model).astype(np.float32)


def _shift(shape: tuple[int, ...], random: np.random.Generator) -> FloatArray:
    """Biases and tables of positions: large enough to be missed."""
    drawn: FloatArray = random.standard_normal(shape).astype(np.float32)
    return drawn


def _embedding(spec: TensorSpec, model: Architecture, random: np.random.Generator, *, end: int) -> FloatArray:
    drawn: FloatArray = random.standard_normal(spec.shape).astype(np.float32)
    drawn[end] *= np.float32(_END_GAIN)
    return drawn / np.float32(model.d_model**0.5)
