"""The parts that a network is made of: layers with parameters, and the blocks and stacks that they lie in.

Owns every parameter name that is spelled outside the reference and the modules of PyTorch; all follow from an
`Architecture`. The names are those of checkpoints, so they can never change. In which order the parts compute is said
in `lingolite_cli.architecture.network`. Imports neither torch nor numpy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from lingolite_cli.architecture.architecture import Architecture, Learned, Relative, Rotary, Sinusoidal

Stack: TypeAlias = Literal["encoder", "decoder"]
Role: TypeAlias = Literal[
    "embedding",
    "positions",
    "relative bias",
    "query",
    "key",
    "value",
    "attention output",
    "candidate",
    "forget",
    "gate",
    "up",
    "down",
    "norm",
    "output projection",
]
"""What a layer is for, in the order in which the layers of a block have their places in a state dict."""

WEIGHT_SUFFIX, BIAS_SUFFIX = ".weight", ".bias"
"""The layer `X` has the tensor `X.weight`, and `X.bias` where it has a bias."""


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer with parameters.

    Attributes:
        name: of the layer, unique in the network.
        role: what it is for.
        shape: of its weight: [out, in] of a matrix, [rows, width] of a table, [width] of the gains of a norm.
        has_bias: it has a bias [out] or [width] as well.
        layer: name of the encoder or decoder layer that it lies in; None outside of these.
        block: name of the attention, recurrence or feed-forward network that it lies in; None for the others.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    has_bias: bool = False
    layer: str | None = None
    block: str | None = None

    @property
    def weight(self) -> str:
        """Name of the weight in a bundle."""
        return self.name + WEIGHT_SUFFIX

    @property
    def bias(self) -> str:
        """Name of the bias in a bundle, if there is one."""
        return self.name + BIAS_SUFFIX

    @property
    def rows(self) -> int:
        """Outputs of a matrix, rows of a table."""
        return self.shape[0]


class Attention(msgspec.Struct, frozen=True, kw_only=True):
    """An attention: its linear layers and its heads. `reads_source`: its keys and values are those of the source."""

    name: str
    query: Layer
    key: Layer
    value: Layer
    output: Layer
    n_heads: int
    n_kv_heads: int
    head_dim: int
    scale: float
    reads_source: bool = False
    index: int
    """Number of the layer that it lies in."""

    @property
    def query_key_value(self) -> tuple[Layer, Layer, Layer]:
        """What reads the input of self-attention, in the order in which exporters join the matrices."""
        return self.query, self.key, self.value

    @property
    def group(self) -> int:
        """Heads that share keys and values."""
        return self.n_heads // self.n_kv_heads

    @property
    def width(self) -> int:
        """H · D, which the output matrix reads."""
        return self.n_heads * self.head_dim


class FeedForward(msgspec.Struct, frozen=True, kw_only=True):
    """A feed-forward network. `gate` is None where nothing is multiplied."""

    name: str
    gate: Layer | None
    up: Layer
    down: Layer

    @property
    def inward(self) -> tuple[Layer, ...]:
        """What reads the input."""
        return (self.up,) if self.gate is None else (self.gate, self.up)


class Ssru(msgspec.Struct, frozen=True, kw_only=True):
    """A simpler simple recurrent unit."""

    name: str
    candidate: Layer
    forget: Layer
    width: int
    index: int
    """Number of the layer that it lies in."""


class EncoderLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the encoder. A norm stands before or after the block that it is named after."""

    name: str
    self_attention: Attention
    feed_forward: FeedForward
    self_attention_norm: Layer
    feed_forward_norm: Layer


class DecoderLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the decoder. `recurrence` reads the earlier target tokens."""

    name: str
    recurrence: Attention | Ssru
    cross_attention: Attention
    feed_forward: FeedForward
    recurrence_norm: Layer
    cross_attention_norm: Layer
    feed_forward_norm: Layer


class Encoder(msgspec.Struct, frozen=True, kw_only=True):
    """The encoder: what all of its layers share, and the layers."""

    name: Stack = "encoder"
    embedding: Layer
    positions: Layer | None
    relative_bias: Layer | None
    layers: tuple[EncoderLayer, ...]
    output_norm: Layer | None


class Decoder(msgspec.Struct, frozen=True, kw_only=True):
    """The decoder. Tied embeddings and projections have no tensor of their own."""

    name: Stack = "decoder"
    embedding: Layer
    positions: Layer | None
    relative_bias: Layer | None
    layers: tuple[DecoderLayer, ...]
    output_norm: Layer | None
    projection: Layer


class Parts(msgspec.Struct, frozen=True):
    """All parts of a network."""

    architecture: Architecture
    encoder: Encoder
    decoder: Decoder

    @property
    def feed_forwards(self) -> tuple[FeedForward, ...]:
        """The feed-forward networks of all layers."""
        encoder = (layer.feed_forward for layer in self.encoder.layers)
        return (*encoder, *(layer.feed_forward for layer in self.decoder.layers))

    @property
    def is_rotary(self) -> bool:
        """Queries and keys of self-attention have rotary positions."""
        return isinstance(self.architecture.positions, Rotary)

    @property
    def has_added_positions(self) -> bool:
        """Positions are added to the embeddings."""
        return isinstance(self.architecture.positions, Sinusoidal | Learned)


ENCODER_EMBEDDING = "encoder.embedding"
_DECODER_EMBEDDING = "decoder.embedding"
_PROJECTION = "decoder.lm_head"

TIED = {_DECODER_EMBEDDING: ENCODER_EMBEDDING, _PROJECTION: ENCODER_EMBEDDING}
"""Where all are tied: by the name of a layer, the layer whose matrix it uses. A state dict has copies of it."""


def tied_layers(architecture: Architecture) -> dict[str, str]:
    """By the name of a layer that has no matrix of its own, the layer whose matrix it uses."""
    tied = {
        True: TIED,
        False: {},
        "embeddings": {_DECODER_EMBEDDING: ENCODER_EMBEDDING},
        "decoder": {_PROJECTION: _DECODER_EMBEDDING},
    }
    return dict(tied[architecture.tie_embeddings])


@lru_cache(maxsize=64)
def parts_of(architecture: Architecture) -> Parts:
    """The parts of a network of this architecture."""
    return Parts(architecture, _encoder(architecture), _decoder(architecture))


def encoder_layer(architecture: Architecture, index: int) -> EncoderLayer:
    """The parts of an encoder layer, counted from 0."""
    name = f"encoder.layers.{index}"
    return EncoderLayer(
        name=name,
        self_attention=_attention(architecture, f"{name}.self_attn", name, index),
        feed_forward=_feed_forward(architecture, f"{name}.ffn", name),
        self_attention_norm=_norm(architecture, f"{name}.norm1", name),
        feed_forward_norm=_norm(architecture, f"{name}.norm2", name),
    )


def _decoder_layer(architecture: Architecture, index: int) -> DecoderLayer:
    name = f"decoder.layers.{index}"
    is_ssru = architecture.decoder_recurrence == "ssru"
    return DecoderLayer(
        name=name,
        recurrence=_ssru(architecture, f"{name}.ssru", name, index)
        if is_ssru
        else _attention(architecture, f"{name}.self_attn", name, index),
        cross_attention=_attention(architecture, f"{name}.cross_attn", name, index, reads_source=True),
        feed_forward=_feed_forward(architecture, f"{name}.ffn", name),
        recurrence_norm=_norm(architecture, f"{name}.norm1", name),
        cross_attention_norm=_norm(architecture, f"{name}.norm2", name),
        feed_forward_norm=_norm(architecture, f"{name}.norm3", name),
    )


def _encoder(architecture: Architecture) -> Encoder:
    vocabulary = (architecture.num_source_tokens, architecture.d_model)
    return Encoder(
        embedding=Layer(name=ENCODER_EMBEDDING, role="embedding", shape=vocabulary),
        positions=_positions(architecture, "encoder"),
        relative_bias=_relative_bias(architecture, "encoder"),
        layers=tuple(encoder_layer(architecture, index) for index in range(architecture.n_encoder_layers)),
        output_norm=_norm(architecture, "encoder.final_norm") if architecture.final_norm else None,
    )


def _decoder(architecture: Architecture) -> Decoder:
    vocabulary = (architecture.vocab_size, architecture.d_model)
    return Decoder(
        embedding=Layer(name=_DECODER_EMBEDDING, role="embedding", shape=vocabulary),
        positions=_positions(architecture, "decoder"),
        relative_bias=_relative_bias(architecture, "decoder"),
        layers=tuple(_decoder_layer(architecture, index) for index in range(architecture.n_decoder_layers)),
        output_norm=_norm(architecture, "decoder.final_norm") if architecture.final_norm else None,
        projection=Layer(
            name=_PROJECTION, role="output projection", shape=vocabulary, has_bias=architecture.logits_bias
        ),
    )


def _positions(architecture: Architecture, stack: Stack) -> Layer | None:
    positions = architecture.positions
    if not isinstance(positions, Learned):
        return None
    shape = (architecture.max_seq_len + positions.offset, architecture.d_model)
    return Layer(name=f"{stack}.positions", role="positions", shape=shape)


def _relative_bias(architecture: Architecture, stack: Stack) -> Layer | None:
    positions = architecture.positions
    if not isinstance(positions, Relative):
        return None
    shape = (positions.buckets, architecture.n_heads)
    return Layer(name=f"{stack}.relative_bias", role="relative bias", shape=shape)


def _attention(
    architecture: Architecture, name: str, layer: str, index: int, *, reads_source: bool = False
) -> Attention:
    queries = architecture.n_heads * architecture.head_dim
    keys = architecture.n_kv_heads * architecture.head_dim

    def linear(suffix: str, role: Role, rows: int, columns: int) -> Layer:
        shape, has_bias = (rows, columns), architecture.biases
        return Layer(name=f"{name}.{suffix}_proj", role=role, shape=shape, has_bias=has_bias, layer=layer, block=name)

    return Attention(
        name=name,
        query=linear("q", "query", queries, architecture.d_model),
        key=linear("k", "key", keys, architecture.d_model),
        value=linear("v", "value", keys, architecture.d_model),
        output=linear("o", "attention output", architecture.d_model, queries),
        n_heads=architecture.n_heads,
        n_kv_heads=architecture.n_kv_heads,
        head_dim=architecture.head_dim,
        scale=architecture.score_factor,
        reads_source=reads_source,
        index=index,
    )


def _feed_forward(architecture: Architecture, name: str, layer: str) -> FeedForward:
    def linear(suffix: str, role: Role, rows: int, columns: int) -> Layer:
        shape, has_bias = (rows, columns), architecture.biases
        return Layer(name=f"{name}.{suffix}_proj", role=role, shape=shape, has_bias=has_bias, layer=layer, block=name)

    inner, outer = architecture.d_ff, architecture.d_model
    return FeedForward(
        name=name,
        gate=linear("gate", "gate", inner, outer) if architecture.gated else None,
        up=linear("up", "up", inner, outer),
        down=linear("down", "down", outer, inner),
    )


def _ssru(architecture: Architecture, name: str, layer: str, index: int) -> Ssru:
    shape = (architecture.d_model, architecture.d_model)
    # The candidate has no bias in any implementation; the forget gate has one, as Kim et al. write it.
    return Ssru(
        name=name,
        candidate=Layer(name=f"{name}.candidate_proj", role="candidate", shape=shape, layer=layer, block=name),
        forget=Layer(name=f"{name}.forget_proj", role="forget", shape=shape, has_bias=True, layer=layer, block=name),
        width=architecture.d_model,
        index=index,
    )


def _norm(architecture: Architecture, name: str, layer: str | None = None) -> Layer:
    return Layer(
        name=name, role="norm", shape=(architecture.d_model,), has_bias=architecture.norm == "layer", layer=layer
    )
