"""The shape of a LingoLite model: its configuration and the presets.

Owns the one constant that no checkpoint stores, the epsilon of the norms. Owns no tensor and imports no torch, so that
manifests, plans and exporters can read it cheaply. The network that has this shape is in `lingolite_cli.model`.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import LINGOLITE

NORM_EPSILON = 1e-6
"""Added to the mean square in every RMSNorm. Checkpoints do not store it, so no model can have another."""


LARGEST = {
    "vocab_size": 1 << 24,
    "d_model": 1 << 16,
    "n_encoder_layers": 1000,
    "n_decoder_layers": 1000,
    "n_heads": 1 << 12,
    "n_kv_heads": 1 << 12,
    "d_ff": 1 << 20,
    "max_seq_len": 1 << 17,
}
"""Far beyond any model of this kind. A file may claim any size, and lists of layers and tables of positions are made
from the claim alone, before a tensor could contradict it."""


class Architecture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes of an encoder-decoder Transformer, in the words of its checkpoints.

    `n_kv_heads` divides `n_heads` (grouped-query attention, Ainslie et al. 2023, arXiv:2305.13245), which
    divides `d_model`. `max_seq_len` is the number of positions that source and target may have.
    """

    vocab_size: int = 24000
    d_model: int = 512
    n_encoder_layers: int = 6
    n_decoder_layers: int = 6
    n_heads: int = 8
    n_kv_heads: int = 2
    d_ff: int = 2048
    max_seq_len: int = 512
    dropout: float = 0.1
    tie_embeddings: bool = True
    pad_token_id: int = LINGOLITE.ids.pad

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "n_heads", "n_kv_heads", "d_ff", "max_seq_len"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, most in LARGEST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most:,}, not {getattr(self, name):,}")
        if min(self.n_encoder_layers, self.n_decoder_layers) < 1:
            raise ValueError("n_encoder_layers and n_decoder_layers must be at least 1")
        if self.d_model % self.n_heads:
            raise ValueError(f"n_heads {self.n_heads} does not divide d_model {self.d_model}")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads {self.n_kv_heads} does not divide n_heads {self.n_heads}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim {self.head_dim} is odd; rotary positions need an even one")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        if not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(f"pad_token_id {self.pad_token_id} lies outside the vocabulary")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.n_heads


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
