"""CTranslate2's own model specification, filled with the arrays of a bundle.

Owns which array goes where, and which architectures the engine has. Nothing is computed here: projections that read the
same input are stacked, and the numbers in the specification are those of the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ctranslate2 import specs

from lingolite_cli.architecture.architecture import (
    Activation,
    Architecture,
    Learned,
    NoPositions,
    Relative,
    Rotary,
    Sinusoidal,
)
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, parts_of
from lingolite_cli.architecture.rotary import BASE
from lingolite_cli.architecture.support import require_supported
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import SpecialIds
from lingolite_cli.weights.bundle import Matrix, Weights, concatenate
from lingolite_cli.weights.positions import position_table

_SUPPORTED = {"decoder_recurrence": ("attention",)}
_ENGINE = "CTranslate2"
_HINT = "export with `--format onnx`"

_ACTIVATIONS: dict[Activation, Any] = {
    "silu": specs.Activation.SWISH,
    "relu": specs.Activation.RELU,
    "gelu": specs.Activation.GELU,
    "gelu_tanh": specs.Activation.GELUTanh,
}


def require_exportable(config: Architecture) -> None:
    """Refuse an architecture that CTranslate2 lacks.

    Raises:
        LingoLiteError: naming what it lacks.
    """
    require_supported(config, _SUPPORTED, engine=_ENGINE, hint=_HINT)
    if config.norm_place == "post" and config.final_norm:
        raise LingoLiteError(
            f"{_ENGINE} does not have this architecture: it lacks a final norm after post-norm layers", hint=_HINT
        )


def transformer_spec(
    weights: Weights,
    config: Architecture,
    pieces: Sequence[str],
    *,
    source_pieces: Sequence[str],
    ids: SpecialIds,
) -> Any:
    """The specification of a whole model, checked and ready to be saved.

    Args:
        weights: of the bundle.
        config: the architecture of the model.
        pieces: the target vocabulary, in the order of ids.
        source_pieces: the source vocabulary; the same where there is one for both.
        ids: special ids, which CTranslate2 knows by their pieces.

    Raises:
        LingoLiteError: a tensor is missing, or CTranslate2 lacks the architecture.
    """
    require_exportable(config)
    spec = specs.TransformerSpec(_encoder(weights, config), _decoder(weights, config))
    spec.register_source_vocabulary(list(source_pieces))
    spec.register_target_vocabulary(list(pieces))
    _configure(spec.config, config, pieces, ids)
    spec.validate()
    spec.optimize()  # without quantization it only stores equal arrays once: those of a tied embedding
    return spec


def described_config(config: Architecture, pieces: Sequence[str], ids: SpecialIds) -> dict[str, Any]:
    """The content of `config.json`, which depends on no weights and on no number of layers.

    Args:
        config: the architecture of the model.
        pieces: the target vocabulary, in the order of ids.
        ids: special ids.
    """
    stacks = (specs.TransformerEncoderSpec, specs.TransformerDecoderSpec)
    spec = specs.TransformerSpec(*(stack(1, config.n_heads, **_architecture(config)) for stack in stacks))
    _configure(spec.config, config, pieces, ids)
    described: dict[str, Any] = spec.config.to_dict()
    return described


def _configure(engine: Any, config: Architecture, pieces: Sequence[str], ids: SpecialIds) -> None:
    engine.unk_token = pieces[ids.unknown]
    # CTranslate2 knows tokens by their pieces, and starts a target with the piece that it is told, not with an id.
    engine.bos_token = engine.decoder_start_token = pieces[ids.start]
    engine.eos_token = pieces[ids.end]
    engine.layer_norm_epsilon = config.norm_epsilon


def _encoder(weights: Weights, config: Architecture) -> Any:
    spec = specs.TransformerEncoderSpec(config.n_encoder_layers, config.n_heads, **_architecture(config))
    names = parts_of(config).encoder
    _set_matrix(spec.embeddings[0], weights, names.embedding)
    _set_stack(spec, weights, names)
    for layer, parts in zip(spec.layer, names.layers, strict=True):
        _set_norm(layer.self_attention, weights, parts.self_attention_norm)
        _set_self_attention(layer.self_attention, weights, parts.self_attention, names)
        _set_norm(layer.ffn, weights, parts.feed_forward_norm)
        _set_feed_forward(layer.ffn, weights, parts.feed_forward)
    return spec


def _decoder(weights: Weights, config: Architecture) -> Any:
    spec = specs.TransformerDecoderSpec(config.n_decoder_layers, config.n_heads, **_architecture(config))
    names = parts_of(config).decoder
    _set_matrix(spec.embeddings, weights, names.embedding)
    _set_matrix(spec.projection, weights, names.projection)
    _set_stack(spec, weights, names)
    if config.output_scale != 1.0:
        spec.scale_outputs = np.float32(config.output_scale)
    for layer, parts in zip(spec.layer, names.layers, strict=True):
        assert isinstance(parts.recurrence, Attention), "require_exportable has refused recurrent units"
        _set_norm(layer.self_attention, weights, parts.recurrence_norm)
        _set_self_attention(layer.self_attention, weights, parts.recurrence, names)
        _set_norm(layer.attention, weights, parts.cross_attention_norm)
        _set_cross_attention(layer.attention, weights, parts.cross_attention)
        _set_norm(layer.ffn, weights, parts.feed_forward_norm)
        _set_feed_forward(layer.ffn, weights, parts.feed_forward)
    return spec


def _architecture(config: Architecture) -> dict[str, Any]:
    """What both stacks are made of. Cross-attention has no rotary positions: CTranslate2 gives it none."""
    described: dict[str, Any] = {
        "pre_norm": config.norm_place == "pre",
        "no_final_norm": not config.final_norm,
        "rms_norm": config.norm == "rms",
        "activation": _ACTIVATIONS[config.activation],
        "ffn_glu": config.gated,
        "num_heads_kv": config.n_kv_heads,
        "head_dim": config.d_head,
    }
    if isinstance(config.positions, Rotary):
        described |= {"rotary_dim": config.head_dim, "rotary_interleave": False, "rotary_base": BASE}
    if isinstance(config.positions, Relative):
        described["relative_attention_bias"] = True
    return described


def _set_stack(spec: Any, weights: Weights, names: Encoder | Decoder) -> None:
    """What the layers of a stack share."""
    config = weights.config
    if config.embedding_scale is not None:
        spec.scale_embeddings = np.float32(config.embedding_scale)
    if names.output_norm is not None:
        _set_norm(spec, weights, names.output_norm)
    table = _position_table(weights, names)
    if table is not None:
        spec.position_encodings.encodings = table


def _position_table(weights: Weights, names: Encoder | Decoder) -> Array | None:
    """[positions, d_model], what CTranslate2 adds to embeddings: without a table it would take sinusoids of its own."""
    config, positions = weights.config, weights.config.positions
    if isinstance(positions, Sinusoidal | Learned):
        return position_table(weights, names, num_positions=config.max_seq_len)
    if isinstance(positions, NoPositions):
        return np.zeros((config.max_seq_len, config.d_model), np.float32)
    return None


def _set_self_attention(spec: Any, weights: Weights, names: Attention, stack: Encoder | Decoder) -> None:
    _set_matrix(spec.linear[0], weights, *names.query_key_value)
    _set_matrix(spec.linear[1], weights, names.output)
    _set_scale(spec, weights.config)
    positions = weights.config.positions
    if isinstance(positions, Relative):
        assert stack.relative_bias is not None
        spec.relative_attention_bias = weights.floats(stack.relative_bias.name)
        spec.relative_attention_max_distance = np.dtype("int32").type(positions.max_distance)


def _set_cross_attention(spec: Any, weights: Weights, names: Attention) -> None:
    _set_matrix(spec.linear[0], weights, names.query)
    # Keys and values of cross-attention as one matrix, in this order: the engine splits its product in halves.
    _set_matrix(spec.linear[1], weights, names.key, names.value)
    _set_matrix(spec.linear[2], weights, names.output)
    _set_scale(spec, weights.config)


def _set_scale(spec: Any, config: Architecture) -> None:
    if config.attention_scale is not None:
        spec.queries_scale = np.float32(config.attention_scale)


def _set_feed_forward(spec: Any, weights: Weights, names: FeedForward) -> None:
    if names.gate is None:
        _set_matrix(spec.linear_0, weights, names.up)
    else:
        _set_matrix(spec.linear_0, weights, names.gate)
        _set_matrix(spec.linear_0_noact, weights, names.up)
    _set_matrix(spec.linear_1, weights, names.down)


def _set_norm(spec: Any, weights: Weights, norm: Layer) -> None:
    gains = weights.stored(norm.name)
    spec.layer_norm.gamma = gains
    if norm.has_bias:
        spec.layer_norm.beta = weights.bias(norm.name).astype(gains.dtype)


def _set_matrix(spec: Any, weights: Weights, *layers: Layer) -> None:
    """The matrices of layers as one, along their outputs; integers stay as they are."""
    matrix = concatenate(tuple(weights.matrix(layer.name) for layer in layers))
    assert isinstance(matrix, Matrix), "kind_of has refused matrices that are stored by groups"
    spec.weight = matrix.values
    if matrix.scale is not None:
        spec.weight_scale = np.float32(1) / matrix.scale  # CTranslate2 divides by it
    if any(layer.has_bias for layer in layers):
        bias = np.concatenate([weights.bias(layer.name) for layer in layers])
        spec.bias = bias if matrix.scale is not None else bias.astype(matrix.values.dtype)
