"""CTranslate2's own model specification, filled with the arrays of a bundle.

Owns which array goes where. Nothing is computed here: projections that read the same input are stacked, and the numbers
in the specification are those of the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ctranslate2 import specs

from lingolite_cli.architecture.architecture import NORM_EPSILON, Architecture
from lingolite_cli.architecture.rotary import BASE
from lingolite_cli.architecture.tensors import AttentionNames, FeedForwardNames, layer_names
from lingolite_cli.tokenization.description import SpecialIds
from lingolite_cli.weights.bundle import Matrix, Weights, concatenate


def transformer_spec(weights: Weights, config: Architecture, pieces: Sequence[str], *, ids: SpecialIds) -> Any:
    """The specification of a whole model, checked and ready to be saved.

    Args:
        weights: of the bundle.
        config: the shape of the model.
        pieces: the vocabulary, in the order of ids.
        ids: special ids, which CTranslate2 knows by their pieces.

    Raises:
        LingoLiteError: a tensor is missing.
    """
    spec = specs.TransformerSpec(_encoder(weights, config), _decoder(weights, config))
    spec.register_source_vocabulary(list(pieces))
    spec.register_target_vocabulary(list(pieces))
    spec.config.unk_token = pieces[ids.unknown]
    # CTranslate2 knows tokens by their pieces, and starts a target with the piece that it is told, not with an id.
    spec.config.bos_token = spec.config.decoder_start_token = pieces[ids.start]
    spec.config.eos_token = pieces[ids.end]
    spec.config.layer_norm_epsilon = NORM_EPSILON
    spec.validate()
    spec.optimize()  # without quantization it only stores equal arrays once: those of a tied embedding
    return spec


def _encoder(weights: Weights, config: Architecture) -> Any:
    spec = specs.TransformerEncoderSpec(config.n_encoder_layers, config.n_heads, **_architecture(config))
    names = layer_names(config).encoder
    _set_matrix(spec.embeddings[0], weights, names.embedding)
    for layer, parts in zip(spec.layer, names.layers, strict=True):
        _set_norm(layer.self_attention, weights, parts.self_attention_norm)
        _set_self_attention(layer.self_attention, weights, parts.self_attention)
        _set_norm(layer.ffn, weights, parts.feed_forward_norm)
        _set_feed_forward(layer.ffn, weights, parts.feed_forward)
    _set_norm(spec, weights, names.output_norm)
    return spec


def _decoder(weights: Weights, config: Architecture) -> Any:
    spec = specs.TransformerDecoderSpec(config.n_decoder_layers, config.n_heads, **_architecture(config))
    names = layer_names(config).decoder
    _set_matrix(spec.embeddings, weights, names.embedding)
    _set_matrix(spec.projection, weights, names.projection)
    for layer, parts in zip(spec.layer, names.layers, strict=True):
        _set_norm(layer.self_attention, weights, parts.self_attention_norm)
        _set_self_attention(layer.self_attention, weights, parts.self_attention)
        _set_norm(layer.attention, weights, parts.cross_attention_norm)
        _set_cross_attention(layer.attention, weights, parts.cross_attention)
        _set_norm(layer.ffn, weights, parts.feed_forward_norm)
        _set_feed_forward(layer.ffn, weights, parts.feed_forward)
    _set_norm(spec, weights, names.output_norm)
    return spec


def _architecture(config: Architecture) -> dict[str, Any]:
    """What both stacks are made of. Cross-attention has no rotary positions: CTranslate2 gives it none."""
    return {
        "pre_norm": True,
        "rms_norm": True,
        "activation": specs.Activation.SWISH,
        "ffn_glu": True,
        "num_heads_kv": config.n_kv_heads,
        "rotary_dim": config.head_dim,
        "rotary_interleave": False,
        "rotary_base": BASE,
    }


def _set_self_attention(spec: Any, weights: Weights, names: AttentionNames) -> None:
    _set_matrix(spec.linear[0], weights, *names.query_key_value)
    _set_matrix(spec.linear[1], weights, names.output)


def _set_cross_attention(spec: Any, weights: Weights, names: AttentionNames) -> None:
    _set_matrix(spec.linear[0], weights, names.query)
    # Keys and values of cross-attention as one matrix, in this order: the engine splits its product in halves.
    _set_matrix(spec.linear[1], weights, names.key, names.value)
    _set_matrix(spec.linear[2], weights, names.output)


def _set_feed_forward(spec: Any, weights: Weights, names: FeedForwardNames) -> None:
    _set_matrix(spec.linear_0, weights, names.gate)
    _set_matrix(spec.linear_0_noact, weights, names.up)
    _set_matrix(spec.linear_1, weights, names.down)


def _set_norm(spec: Any, weights: Weights, name: str) -> None:
    spec.layer_norm.gamma = weights.stored(name)


def _set_matrix(spec: Any, weights: Weights, *names: str) -> None:
    """The matrices of layers as one, along their outputs; integers stay as they are."""
    matrix = concatenate(tuple(weights.matrix(name) for name in names))
    assert isinstance(matrix, Matrix), "kind_of has refused matrices that are stored by groups"
    spec.weight = matrix.values
    if matrix.scale is not None:
        spec.weight_scale = np.float32(1) / matrix.scale  # CTranslate2 divides by it
