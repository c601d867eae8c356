"""The parameters of the network: their names, shapes and roles, and which of them share a matrix or an input.

Owns every parameter name that is spelled outside the network itself; all follow from a `Architecture`. The names are
those of checkpoints, so they can never change. Values are `lingolite_cli.weights`'s. Imports neither torch nor numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

import msgspec

from lingolite_cli.architecture.architecture import Architecture

Stack: TypeAlias = Literal["encoder", "decoder"]
Role: TypeAlias = Literal[
    "embedding", "query", "key", "value", "attention output", "gate", "up", "down", "norm", "output projection"
]

WEIGHT_SUFFIX = ".weight"
"""The layer `X` has the tensor `X.weight`. No layer has a bias."""


class AttentionNames(msgspec.Struct, frozen=True):
    """The linear layers of an attention, which is itself called `name`."""

    name: str
    query: str
    key: str
    value: str
    output: str

    @property
    def query_key_value(self) -> tuple[str, str, str]:
        """What reads the input of self-attention, in the order in which exporters join the matrices."""
        return self.query, self.key, self.value


class FeedForwardNames(msgspec.Struct, frozen=True):
    """The linear layers of a SwiGLU network, which is itself called `name`."""

    name: str
    gate: str
    up: str
    down: str


class EncoderLayerNames(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an encoder layer, which is itself called `name`. A norm comes before the part that it is named
    after."""

    name: str
    self_attention: AttentionNames
    feed_forward: FeedForwardNames
    self_attention_norm: str
    feed_forward_norm: str


class DecoderLayerNames(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a decoder layer, which is itself called `name`."""

    name: str
    self_attention: AttentionNames
    cross_attention: AttentionNames
    feed_forward: FeedForwardNames
    self_attention_norm: str
    cross_attention_norm: str
    feed_forward_norm: str


class EncoderNames(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the encoder."""

    embedding: str
    layers: tuple[EncoderLayerNames, ...]
    output_norm: str


class DecoderNames(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the decoder. With tied embeddings its `embedding` and `projection` have no tensor of their own."""

    embedding: str
    layers: tuple[DecoderLayerNames, ...]
    output_norm: str
    projection: str


class LayerNames(msgspec.Struct, frozen=True):
    """All layers of a network that have parameters."""

    encoder: EncoderNames
    decoder: DecoderNames

    @property
    def cross_attention_inputs(self) -> tuple[str, ...]:
        """What reads the encoder's output: key and value of each decoder layer in turn."""
        attentions = (layer.cross_attention for layer in self.decoder.layers)
        return tuple(name for attention in attentions for name in (attention.key, attention.value))

    @property
    def feed_forwards(self) -> tuple[FeedForwardNames, ...]:
        """The feed-forward networks of all layers."""
        encoder = (layer.feed_forward for layer in self.encoder.layers)
        return (*encoder, *(layer.feed_forward for layer in self.decoder.layers))


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of a float bundle.

    Attributes:
        name: of its layer.
        shape: [out, in] of a matrix, [d_model] of the gains of a norm.
        role: what it is for.
        layer: name of the encoder or decoder layer that it lies in; None outside of these.
        block: name of the attention or feed-forward network that it lies in; None for the others.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    layer: str | None = None
    block: str | None = None

    @property
    def key(self) -> str:
        """Name in a bundle."""
        return self.name + WEIGHT_SUFFIX

    @property
    def is_matrix(self) -> bool:
        """Whether it is quantized; norms stay in float."""
        return len(self.shape) == 2

    @property
    def has_vocabulary(self) -> bool:
        """Whether it has a row for each token: an embedding or the output projection."""
        return self.role in ("embedding", "output projection")


OUTPUT_PROJECTION = "output_projection"
"""What exported graphs and the reference call the output projection, whichever matrix serves as such."""

CROSS_ATTENTION = ".cross_attn"
"""Ends the name of an attention over the source; the others are over the tokens themselves."""

ROTATED_QUERY, ROTATED_KEY = ".rotated_query", ".rotated_key"
KEY_CACHE, VALUE_CACHE = ".key_cache", ".value_cache"
HIDDEN, SUM = ".hidden", ".sum"
"""End the names of operations without a parameter, after the name of their block: queries and keys at rotary positions,
what attention reads of them, SwiGLU's activations, and the residual sum after the block."""

ENCODER_EMBEDDING = "encoder.embedding"
_DECODER_EMBEDDING = "decoder.embedding"
_PROJECTION = "decoder.lm_head"


def encoder_layer(index: int) -> EncoderLayerNames:
    """The parts of an encoder layer, counted from 0."""
    name = f"encoder.layers.{index}"
    return EncoderLayerNames(
        name=name,
        self_attention=_attention(f"{name}.self_attn"),
        feed_forward=_feed_forward(f"{name}.ffn"),
        self_attention_norm=f"{name}.norm1",
        feed_forward_norm=f"{name}.norm2",
    )


def decoder_layer(index: int) -> DecoderLayerNames:
    """The parts of a decoder layer, counted from 0."""
    name = f"decoder.layers.{index}"
    return DecoderLayerNames(
        name=name,
        self_attention=_attention(f"{name}.self_attn"),
        cross_attention=_attention(f"{name}.cross_attn"),
        feed_forward=_feed_forward(f"{name}.ffn"),
        self_attention_norm=f"{name}.norm1",
        cross_attention_norm=f"{name}.norm2",
        feed_forward_norm=f"{name}.norm3",
    )


def layer_names(config: Architecture) -> LayerNames:
    """The layers of a network of this shape."""
    return LayerNames(
        EncoderNames(
            embedding=ENCODER_EMBEDDING,
            layers=tuple(encoder_layer(index) for index in range(config.n_encoder_layers)),
            output_norm="encoder.final_norm",
        ),
        DecoderNames(
            embedding=_DECODER_EMBEDDING,
            layers=tuple(decoder_layer(index) for index in range(config.n_decoder_layers)),
            output_norm="decoder.final_norm",
            projection=_PROJECTION,
        ),
    )


TIED = {_DECODER_EMBEDDING: ENCODER_EMBEDDING, _PROJECTION: ENCODER_EMBEDDING}
"""With tied embeddings: by the name of a layer, the layer whose matrix it uses. A state dict has copies of it."""


def tied_layers(config: Architecture) -> Mapping[str, str]:
    """`TIED`, or nothing where each layer has a matrix of its own."""
    return TIED if config.tie_embeddings else {}


def tensor_specs(config: Architecture) -> tuple[TensorSpec, ...]:
    """The tensors of a float bundle in the order of the network's state dict; a tied embedding counts once."""
    tied = tied_layers(config)
    return tuple(spec for spec in _all_specs(config) if spec.name not in tied)


def tensor_shapes(config: Architecture) -> dict[str, tuple[int, ...]]:
    """Shape by the name in a float bundle."""
    return {spec.key: spec.shape for spec in tensor_specs(config)}


def vocabulary_keys(config: Architecture) -> tuple[str, ...]:
    """Names in a bundle of the embeddings and, where it is not tied to one, the output projection."""
    return tuple(spec.key for spec in tensor_specs(config) if spec.has_vocabulary)


def shared_inputs(config: Architecture) -> list[tuple[str, ...]]:
    """The linear layers of a network, those together that read the same input; every one is in one group."""
    names = layer_names(config)
    # Whoever observes or joins inputs does so once a group: the members read the very same tensor.
    groups: list[tuple[str, ...]] = []
    for encoder in names.encoder.layers:
        groups += _self_attention_inputs(encoder.self_attention) + _feed_forward_inputs(encoder.feed_forward)
    for decoder in names.decoder.layers:
        cross = decoder.cross_attention
        groups += [*_self_attention_inputs(decoder.self_attention), (cross.query,), (cross.output,)]
        groups += _feed_forward_inputs(decoder.feed_forward)
    return [*groups, names.cross_attention_inputs, (names.decoder.projection,)]


def count_layers(keys: Iterable[str], stack: Stack) -> int:
    """How many layers of a stack the tensors `keys` are of."""
    # Distinct numbers, not the largest: a file that lacks a layer in the middle must not pass for a deeper one.
    found = (re.match(rf"{stack}\.layers\.(\d+)\.", key) for key in keys)
    return len({match.group(1) for match in found if match})


def _attention(name: str) -> AttentionNames:
    return AttentionNames(name, f"{name}.q_proj", f"{name}.k_proj", f"{name}.v_proj", f"{name}.o_proj")


def _feed_forward(name: str) -> FeedForwardNames:
    return FeedForwardNames(name, f"{name}.gate_proj", f"{name}.up_proj", f"{name}.down_proj")


def _self_attention_inputs(names: AttentionNames) -> list[tuple[str, ...]]:
    return [names.query_key_value, (names.output,)]


def _feed_forward_inputs(names: FeedForwardNames) -> list[tuple[str, ...]]:
    return [(names.gate, names.up), (names.down,)]


def _all_specs(config: Architecture) -> Iterator[TensorSpec]:
    names = layer_names(config)
    vocabulary, gains = (config.vocab_size, config.d_model), (config.d_model,)
    yield TensorSpec(name=names.encoder.embedding, shape=vocabulary, role="embedding")
    for encoder in names.encoder.layers:
        yield from _attention_specs(encoder.self_attention, config, encoder.name)
        yield from _feed_forward_specs(encoder.feed_forward, config, encoder.name)
        for norm in (encoder.self_attention_norm, encoder.feed_forward_norm):
            yield TensorSpec(name=norm, shape=gains, role="norm", layer=encoder.name)
    yield TensorSpec(name=names.encoder.output_norm, shape=gains, role="norm")
    yield TensorSpec(name=names.decoder.embedding, shape=vocabulary, role="embedding")
    for decoder in names.decoder.layers:
        yield from _attention_specs(decoder.self_attention, config, decoder.name)
        yield from _attention_specs(decoder.cross_attention, config, decoder.name)
        yield from _feed_forward_specs(decoder.feed_forward, config, decoder.name)
        for norm in (decoder.self_attention_norm, decoder.cross_attention_norm, decoder.feed_forward_norm):
            yield TensorSpec(name=norm, shape=gains, role="norm", layer=decoder.name)
    yield TensorSpec(name=names.decoder.output_norm, shape=gains, role="norm")
    yield TensorSpec(name=names.decoder.projection, shape=vocabulary, role="output projection")


def _attention_specs(names: AttentionNames, config: Architecture, layer: str) -> Iterator[TensorSpec]:
    queries, keys = (config.d_model, config.d_model), (config.n_kv_heads * config.head_dim, config.d_model)
    parts: tuple[tuple[str, tuple[int, int], Role], ...] = (
        (names.query, queries, "query"),
        (names.key, keys, "key"),
        (names.value, keys, "value"),
        (names.output, queries, "attention output"),
    )
    for name, shape, role in parts:
        yield TensorSpec(name=name, shape=shape, role=role, layer=layer, block=names.name)


def _feed_forward_specs(names: FeedForwardNames, config: Architecture, layer: str) -> Iterator[TensorSpec]:
    inward, outward = (config.d_ff, config.d_model), (config.d_model, config.d_ff)
    parts: tuple[tuple[str, tuple[int, int], Role], ...] = (
        (names.gate, inward, "gate"),
        (names.up, inward, "up"),
        (names.down, outward, "down"),
    )
    for name, shape, role in parts:
        yield TensorSpec(name=name, shape=shape, role=role, layer=layer, block=names.name)
