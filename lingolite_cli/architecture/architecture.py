"""What a network is made of, as data: sizes, norms, positions, activation, recurrence, scales; and LingoLite's presets.

Owns the struct, its defaults (LingoLite's own network) and what it refuses. The network that follows from it is in
`lingolite_cli.architecture.network`. Owns no tensor and imports no torch, so that manifests, plans and exporters can
read it cheaply.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import LINGOLITE

T = TypeVar("T")

Norm: TypeAlias = Literal["rms", "layer"]
NormPlace: TypeAlias = Literal["pre", "post"]
Activation: TypeAlias = Literal["silu", "relu", "gelu", "gelu_tanh"]
Recurrence: TypeAlias = Literal["attention", "ssru"]
Tying: TypeAlias = Literal["embeddings", "decoder"]

LARGEST = {
    "vocab_size": 1 << 24,
    "source_vocab_size": 1 << 24,
    "d_model": 1 << 16,
    "n_encoder_layers": 1000,
    "n_decoder_layers": 1000,
    "n_heads": 1 << 12,
    "n_kv_heads": 1 << 12,
    "d_head": 1 << 16,
    "d_ff": 1 << 20,
    "max_seq_len": 1 << 17,
}
"""Far beyond any model of this kind. A file may claim any size, and lists of layers and tables of positions are made
from the claim alone, before a tensor could contradict it."""

_LARGEST_TABLE = 1 << 17
"""Of what is said of positions, for the same reason."""


class Rotary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="rotary", tag_field="kind"):
    """Queries and keys of self-attention are rotated by their positions (Su et al. 2021, arXiv:2104.09864)."""


class Sinusoidal(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sinusoidal", tag_field="kind"
):
    """Sines and cosines are added to the embeddings: all sines first, then all cosines.

    Attributes:
        divisor: feature i has the frequency 10000^(-i / divisor). Half of d_model in `transformers`' Marian, half of
            it less 1 in Marian's own files and in M2M100; the wrong one changes few sentences, and hardly BLEU.
        offset: position of the first token.
    """

    divisor: int
    offset: int = 0

    def __post_init__(self) -> None:
        _check_range("positions.divisor", self.divisor, least=1, most=_LARGEST_TABLE)
        _check_range("positions.offset", self.offset, least=0, most=_LARGEST_TABLE)


class Relative(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="relative", tag_field="kind"):
    """A learned bias is added to the scores of self-attention, by the distance of key and query (Raffel et al. 2020,
    arXiv:1910.10683). Each stack has one table, which all of its layers use.

    Attributes:
        buckets: distances that have a bias of their own; half of them for keys that follow, in the encoder.
        max_distance: from which on all distances share the last bucket.
    """

    buckets: int = 32
    max_distance: int = 128

    def __post_init__(self) -> None:
        _check_range("positions.buckets", self.buckets, least=4, most=_LARGEST_TABLE)
        _check_range("positions.max_distance", self.max_distance, least=self.buckets, most=_LARGEST_TABLE)
        if self.buckets % 4:
            raise ValueError(f"positions.buckets must be a multiple of 4, not {self.buckets}")


class Learned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="learned", tag_field="kind"):
    """A learned vector for each position is added to the embeddings.

    Attributes:
        offset: row of the first token.
    """

    offset: int = 0

    def __post_init__(self) -> None:
        _check_range("positions.offset", self.offset, least=0, most=_LARGEST_TABLE)


class NoPositions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="none", tag_field="kind"):
    """Nothing tells positions apart but the causal mask or the recurrence."""


Positions: TypeAlias = Rotary | Sinusoidal | Relative | Learned | NoPositions


def _always(value: T) -> T:
    """A default that is encoded as well: manifests have had these fields from the start. Later fields are left out
    where they are those of LingoLite's own network, so that its manifests keep their bytes."""
    written: T = msgspec.field(default_factory=lambda: value)
    return written


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An encoder-decoder network for translation. The defaults are LingoLite's own.

    Attributes:
        vocab_size: V, target tokens; and source tokens, unless `source_vocab_size` says otherwise.
        d_model: width of hidden states.
        n_encoder_layers: layers of the encoder.
        n_decoder_layers: layers of the decoder.
        n_heads: H, attention heads.
        n_kv_heads: K, a divisor of H: groups of heads that share keys and values (Ainslie et al. 2023,
            arXiv:2305.13245).
        d_ff: width inside the feed-forward networks.
        max_seq_len: positions that source and target may have.
        dropout: in training; in [0, 1).
        tie_embeddings: which matrices are one. True: the embeddings of source and target, and the output projection;
            False: none; `embeddings`: those of source and target; `decoder`: that of the target and the output
            projection.
        pad_token_id: fills sources and targets on the right.
        source_vocab_size: source tokens, where the target has a vocabulary of its own.
        d_head: D, width of a head; None for d_model / n_heads.
        norm: root mean square (Zhang and Sennrich 2019, arXiv:1910.07467) or LayerNorm (Ba et al. 2016,
            arXiv:1607.06450), which has a bias too.
        norm_epsilon: added to the mean square or the variance.
        norm_place: before each block, or after the residual sum (Xiong et al. 2020, arXiv:2002.04745).
        final_norm: each stack ends in a norm.
        activation: of the feed-forward networks. `gelu` is exact, `gelu_tanh` its approximation.
        gated: the feed-forward network multiplies the activation with a second matrix's outcome (Shazeer 2020,
            arXiv:2002.05202).
        biases: linear layers have one; the output projection has one where `logits_bias` says so.
        positions: how tokens are told their positions.
        embedding_scale: factor of embeddings; None for sqrt(d_model).
        attention_scale: factor of the scores of attention; None for 1 / sqrt(D).
        output_scale: factor of what the output projection reads.
        decoder_recurrence: what the decoder reads earlier target tokens by: self-attention, or a simpler simple
            recurrent unit (Kim et al. 2019, https://aclanthology.org/D19-5632), whose state has one vector a layer.
        logits_bias: the output projection has a bias.
    """

    vocab_size: int = _always(24000)
    d_model: int = _always(512)
    n_encoder_layers: int = _always(6)
    n_decoder_layers: int = _always(6)
    n_heads: int = _always(8)
    n_kv_heads: int = _always(2)
    d_ff: int = _always(2048)
    max_seq_len: int = _always(512)
    dropout: float = _always(0.1)
    tie_embeddings: bool | Tying = _always(True)
    pad_token_id: int = _always(LINGOLITE.ids.pad)
    source_vocab_size: int | None = None
    d_head: int | None = None
    norm: Norm = "rms"
    norm_epsilon: float = 1e-6
    norm_place: NormPlace = "pre"
    final_norm: bool = True
    activation: Activation = "silu"
    gated: bool = True
    biases: bool = False
    positions: Positions = Rotary()
    embedding_scale: float | None = None
    attention_scale: float | None = None
    output_scale: float = 1.0
    decoder_recurrence: Recurrence = "attention"
    logits_bias: bool = False

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_features(self)
        for field in msgspec.structs.fields(type(self)):
            # Left out of JSON is what *is* the default. Equal values may be others, of another reading.
            if field.default is not msgspec.NODEFAULT and getattr(self, field.encode_name) == field.default:
                msgspec.structs.force_setattr(self, field.name, field.default)

    @property
    def head_dim(self) -> int:
        """D, width of one attention head."""
        return self.d_head or self.d_model // self.n_heads

    @property
    def num_source_tokens(self) -> int:
        """Size of the source vocabulary."""
        return self.source_vocab_size or self.vocab_size

    @property
    def repeats_are_equal(self) -> bool:
        """Whether a decoder that reads one token again and again gives the same logits each time: positions only enter
        the scores of self-attention, over values that are all equal."""
        return self.decoder_recurrence == "attention" and not isinstance(self.positions, Sinusoidal | Learned)

    @property
    def embedding_factor(self) -> float:
        """What embeddings are multiplied by."""
        return float(self.d_model**0.5) if self.embedding_scale is None else self.embedding_scale

    @property
    def score_factor(self) -> float:
        """What scores of attention are multiplied by."""
        return float(self.head_dim**-0.5) if self.attention_scale is None else self.attention_scale

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, those of LingoLite's own network left out as in a manifest."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def _check_sizes(architecture: Architecture) -> None:
    for name in ("vocab_size", "d_model", "n_heads", "n_kv_heads", "d_ff", "max_seq_len"):
        if getattr(architecture, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(architecture, name)}")
    for name, most in LARGEST.items():
        if (getattr(architecture, name) or 0) > most:
            raise ValueError(f"{name} must be at most {most:,}, not {getattr(architecture, name):,}")
    if min(architecture.n_encoder_layers, architecture.n_decoder_layers) < 1:
        raise ValueError("n_encoder_layers and n_decoder_layers must be at least 1")
    for name in ("source_vocab_size", "d_head"):
        if (value := getattr(architecture, name)) is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    if architecture.d_head is None and architecture.d_model % architecture.n_heads:
        raise ValueError(f"n_heads {architecture.n_heads} does not divide d_model {architecture.d_model}")
    if architecture.n_heads % architecture.n_kv_heads:
        raise ValueError(f"n_kv_heads {architecture.n_kv_heads} does not divide n_heads {architecture.n_heads}")
    if not 0.0 <= architecture.dropout < 1.0:
        raise ValueError(f"dropout must lie in [0, 1), not {architecture.dropout}")
    if not 0 <= architecture.pad_token_id < min(architecture.vocab_size, architecture.num_source_tokens):
        raise ValueError(f"pad_token_id {architecture.pad_token_id} lies outside the vocabulary")


def _check_features(architecture: Architecture) -> None:
    positions, width = architecture.positions, architecture.head_dim
    if isinstance(positions, Rotary) and width % 2:
        raise ValueError(f"head_dim {width} is odd; rotary positions need an even one")
    if isinstance(positions, Sinusoidal) and architecture.d_model % 2:
        raise ValueError(f"d_model {architecture.d_model} is odd; sinusoidal positions need an even one")
    if architecture.tie_embeddings in (True, "embeddings") and architecture.source_vocab_size is not None:
        raise ValueError("source_vocab_size means that source and target have an embedding each, which cannot be tied")
    if architecture.decoder_recurrence == "ssru" and isinstance(positions, Rotary | Relative):
        raise ValueError("decoder_recurrence `ssru` has no queries and keys, which rotary and relative positions need")
    for name in ("norm_epsilon", "embedding_scale", "attention_scale", "output_scale"):
        value = getattr(architecture, name)
        if value is not None and not 0.0 < value < 1e6:
            raise ValueError(f"{name} must lie between 0 and a million, not {value}")


def _check_range(name: str, value: int, *, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} must be between {least} and {most:,}, not {value:,}")


PRESETS: dict[str, Architecture] = {
    "tiny": Architecture(d_model=256, n_encoder_layers=4, n_decoder_layers=4, n_heads=4, n_kv_heads=2, d_ff=1024),
    "small": Architecture(),
    "medium": Architecture(d_model=768, n_encoder_layers=8, n_decoder_layers=8, n_heads=12, n_kv_heads=4, d_ff=3072),
    "large": Architecture(d_model=1024, n_encoder_layers=12, n_decoder_layers=12, n_heads=16, n_kv_heads=4, d_ff=4096),
}


def preset(name: str) -> Architecture:
    """The preset called `name`.

    Raises:
        LingoLiteError: there is none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise LingoLiteError(f"unknown preset `{name}`", hint=did_you_mean(name, PRESETS)) from None
