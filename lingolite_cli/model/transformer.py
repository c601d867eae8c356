"""The encoder and decoder stacks: pre-norm Transformer layers (Xiong et al. 2020, arXiv:2002.04745).

Shapes: B batch, S source length, T target length, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from lingolite_cli.architecture.architecture import ModelConfig
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.attention import (
    GroupedQueryAttention,
    GroupedQueryCrossAttention,
    causal_mask,
    padding_mask,
)
from lingolite_cli.model.cache import CacheError, KVCache, LayerCache, check_cache_use
from lingolite_cli.model.layers import FeedForward, RMSNorm, RotaryPositions


def _rotary(config: ModelConfig) -> RotaryPositions:
    return RotaryPositions(config.head_dim, config.max_seq_len)


def check_length(ids: Tensor, past: int, max_seq_len: int, *, what: str) -> None:
    """Refuse ids that are not [B, T] or that reach beyond the model's positions.

    Args:
        ids: token ids.
        past: positions that a cache already holds.
        max_seq_len: the model's positions.
        what: `source` or `target`, for the message.
    """
    if ids.dim() != 2 or 0 in ids.shape:
        raise LingoLiteError(
            f"{what} ids have shape {tuple(ids.shape)}", hint="pass [batch, length], neither of them 0"
        )
    if past + ids.size(1) > max_seq_len:
        raise LingoLiteError(
            f"{what} length {past + ids.size(1)} is more than the model's max_seq_len {max_seq_len}",
            hint="shorten the text or lower max_length",
        )


class EncoderLayer(nn.Module):
    """Self-attention, then the feed-forward network, each on a normed input and added to it."""

    def __init__(self, config: ModelConfig, rotary: RotaryPositions) -> None:
        super().__init__()
        self.self_attn = GroupedQueryAttention(
            config.d_model, config.n_heads, n_kv_heads=config.n_kv_heads, rotary=rotary
        )
        self.ffn = FeedForward(config.d_model, config.d_ff)
        self.norm1 = RMSNorm(config.d_model)
        self.norm2 = RMSNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """[B, S, d_model] to the same; `mask` is additive and broadcasts to [B, 1, S, S]."""
        attended, _ = self.self_attn(self.norm1(x), mask=mask)
        x = x + self.dropout(attended)
        x = x + self.dropout(self.ffn(self.norm2(x)))
        return x


class TransformerEncoder(nn.Module):
    """Source ids to the representations that the decoder attends to."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rotary = _rotary(config)
        self.max_seq_len = config.max_seq_len
        self.embedding_scale = math.sqrt(config.d_model)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config, rotary) for _ in range(config.n_encoder_layers))
        self.final_norm = RMSNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, source_ids: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """Encode sources.

        Args:
            source_ids: [B, S] int64.
            source_mask: [B, S], true or 1 on real tokens; None when all are real.

        Returns:
            [B, S, d_model]; what stands at padding means nothing, but is finite.
        """
        check_length(source_ids, 0, self.max_seq_len, what="source")
        check_mask(source_mask, source_ids.shape)
        mask = None if source_mask is None else padding_mask(source_mask)
        x = self.dropout(self.embedding(source_ids) * self.embedding_scale)
        for layer in self.layers:
            x = layer(x, mask)
        output: Tensor = self.final_norm(x)
        return output


def check_mask(source_mask: Tensor | None, shape: Sequence[int]) -> None:
    """Refuse a source mask whose shape is not that of the source, [B, S]."""
    if source_mask is not None and tuple(source_mask.shape) != tuple(shape):
        raise LingoLiteError(
            f"source_mask has shape {tuple(source_mask.shape)}, the source {tuple(shape)}",
            hint="pass [batch, source length], 1 on real tokens and 0 on padding",
        )


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to the source, then the feed-forward network."""

    def __init__(self, config: ModelConfig, rotary: RotaryPositions) -> None:
        super().__init__()
        sizes = (config.d_model, config.n_heads)
        self.self_attn = GroupedQueryAttention(*sizes, n_kv_heads=config.n_kv_heads, rotary=rotary)
        self.cross_attn = GroupedQueryCrossAttention(*sizes, n_kv_heads=config.n_kv_heads)
        self.ffn = FeedForward(config.d_model, config.d_ff)
        self.norm1 = RMSNorm(config.d_model)
        self.norm2 = RMSNorm(config.d_model)
        self.norm3 = RMSNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        encoder_output: Tensor | None,
        *,
        self_mask: Tensor | None,
        cross_mask: Tensor | None,
        cache: LayerCache,
    ) -> tuple[Tensor, LayerCache]:
        """[B, T, d_model] to the same, and the layer's updated cache; masks are additive."""
        attended, self_cache = self.self_attn(
            self.norm1(x), mask=self_mask, kv_cache=cache.self_attention, use_cache=True
        )
        x = x + self.dropout(attended)
        attended, cross_cache = self.cross_attn(
            self.norm2(x), encoder_output, mask=cross_mask, kv_cache=cache.cross_attention, use_cache=True
        )
        x = x + self.dropout(attended)
        x = x + self.dropout(self.ffn(self.norm3(x)))
        return x, LayerCache(self_cache, cross_cache)


class TransformerDecoder(nn.Module):
    """Target ids and the encoder's output to logits of the next tokens."""

    def __init__(self, config: ModelConfig, embedding: nn.Module) -> None:
        super().__init__()
        rotary = _rotary(config)
        self.max_seq_len = config.max_seq_len
        self.embedding_scale = math.sqrt(config.d_model)
        self.embedding = embedding
        self.layers = nn.ModuleList(DecoderLayer(config, rotary) for _ in range(config.n_decoder_layers))
        self.final_norm = RMSNorm(config.d_model)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def tie_projection(self) -> None:
        """Make the output projection the embedding matrix."""
        self.lm_head.weight = self.embedding.weight  # type: ignore[assignment]

    def forward(
        self,
        target_ids: Tensor,
        encoder_output: Tensor | None,
        source_mask: Tensor | None = None,
        *,
        kv_caches: Sequence[LayerCache] | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, list[LayerCache] | None]:
        """Logits of the token after each target token.

        Args:
            target_ids: [B, T] int64; with filled caches only the tokens after the cached ones.
            encoder_output: [B, S, d_model]; None when the caches hold its keys and values.
            source_mask: [B, S], true or 1 on real tokens; None when all are real.
            kv_caches: one a layer, from the call before; needs `use_cache=True`.
            use_cache: return the caches for the next call.

        Returns:
            logits [B, T, V], and the updated caches, or None without `use_cache`.

        Raises:
            CacheError: a cache came without `use_cache=True`, or does not fit.
            LingoLiteError: a length or a shape does not fit, with its value.
        """
        check_cache_use(kv_caches, use_cache)
        caches = self._caches(kv_caches)
        past, length = len(caches[0].self_attention), target_ids.size(-1)
        check_length(target_ids, past, self.max_seq_len, what="target")
        if encoder_output is not None:
            check_mask(source_mask, encoder_output.shape[:2])
        self_mask = causal_mask(length, past + length, device=target_ids.device) if length > 1 else None
        cross_mask = None if source_mask is None else padding_mask(source_mask)
        x = self.dropout(self.embedding(target_ids) * self.embedding_scale)
        updated = []
        for layer, cache in zip(self.layers, caches, strict=True):
            x, cache = layer(x, encoder_output, self_mask=self_mask, cross_mask=cross_mask, cache=cache)
            updated.append(cache)
        return self.lm_head(self.final_norm(x)), updated if use_cache else None

    def _caches(self, kv_caches: Sequence[LayerCache] | None) -> Sequence[LayerCache]:
        if kv_caches is None:
            return [LayerCache(KVCache(), KVCache())] * len(self.layers)
        if len(kv_caches) != len(self.layers):
            raise CacheError(
                f"{len(kv_caches)} layer caches were passed to a decoder of {len(self.layers)} layers",
                hint="pass back the caches that this decoder returned",
            )
        return kv_caches
