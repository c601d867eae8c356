"""CTranslate2's own model specification, filled with the arrays of a bundle.

Owns which array goes where. Nothing is computed here: projections that read the same input are stacked, and the numbers
in the specification are those of the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ctranslate2 import specs

from lingolite_cli.architecture.architecture import ModelConfig
from lingolite_cli.architecture.rotary import BASE
from lingolite_cli.tokenization.description import SpecialIds
from lingolite_ctranslate2.weights import Matrix, Weights

RMS_NORM_EPSILON = 1e-6


def transformer_spec(weights: Weights, config: ModelConfig, pieces: Sequence[str], *, ids: SpecialIds) -> Any:
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
    spec.config.bos_token = spec.config.decoder_start_token = pieces[ids.start]
    spec.config.eos_token = pieces[ids.end]
    spec.config.layer_norm_epsilon = RMS_NORM_EPSILON
    spec.validate()
    spec.optimize()  # without quantization it only stores equal arrays once: those of a tied embedding
    return spec


def _encoder(weights: Weights, config: ModelConfig) -> Any:
    spec = specs.TransformerEncoderSpec(config.n_encoder_layers, config.n_heads, **_architecture(config))
    _set_matrix(spec.embeddings[0], weights.matrix("encoder.embedding"))
    for index, layer in enumerate(spec.layer):
        name = f"encoder.layers.{index}"
        _set_self_attention(layer.self_attention, weights, f"{name}.self_attn", norm=f"{name}.norm1")
        _set_feed_forward(layer.ffn, weights, f"{name}.ffn", norm=f"{name}.norm2")
    spec.layer_norm.gamma = weights.norm("encoder.final_norm")
    return spec


def _decoder(weights: Weights, config: ModelConfig) -> Any:
    spec = specs.TransformerDecoderSpec(config.n_decoder_layers, config.n_heads, **_architecture(config))
    is_tied = config.tie_embeddings
    _set_matrix(spec.embeddings, weights.matrix("encoder.embedding" if is_tied else "decoder.embedding"))
    _set_matrix(spec.projection, weights.matrix("encoder.embedding" if is_tied else "decoder.lm_head"))
    for index, layer in enumerate(spec.layer):
        name = f"decoder.layers.{index}"
        _set_self_attention(layer.self_attention, weights, f"{name}.self_attn", norm=f"{name}.norm1")
        _set_cross_attention(layer.attention, weights, f"{name}.cross_attn", norm=f"{name}.norm2")
        _set_feed_forward(layer.ffn, weights, f"{name}.ffn", norm=f"{name}.norm3")
    spec.layer_norm.gamma = weights.norm("decoder.final_norm")
    return spec


def _architecture(config: ModelConfig) -> dict[str, Any]:
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


def _set_self_attention(spec: Any, weights: Weights, name: str, *, norm: str) -> None:
    spec.layer_norm.gamma = weights.norm(norm)
    _set_matrix(spec.linear[0], weights.matrix(f"{name}.q_proj", f"{name}.k_proj", f"{name}.v_proj"))
    _set_matrix(spec.linear[1], weights.matrix(f"{name}.o_proj"))


def _set_cross_attention(spec: Any, weights: Weights, name: str, *, norm: str) -> None:
    spec.layer_norm.gamma = weights.norm(norm)
    _set_matrix(spec.linear[0], weights.matrix(f"{name}.q_proj"))
    _set_matrix(spec.linear[1], weights.matrix(f"{name}.k_proj", f"{name}.v_proj"))
    _set_matrix(spec.linear[2], weights.matrix(f"{name}.o_proj"))


def _set_feed_forward(spec: Any, weights: Weights, name: str, *, norm: str) -> None:
    spec.layer_norm.gamma = weights.norm(norm)
    _set_matrix(spec.linear_0, weights.matrix(f"{name}.gate_proj"))
    _set_matrix(spec.linear_0_noact, weights.matrix(f"{name}.up_proj"))
    _set_matrix(spec.linear_1, weights.matrix(f"{name}.down_proj"))


def _set_matrix(spec: Any, matrix: Matrix) -> None:
    spec.weight = matrix.values
    if matrix.inverse_scale is not None:
        spec.weight_scale = matrix.inverse_scale
