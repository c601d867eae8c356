"""The encoder and decoder stacks: pre-norm Transformer layers (Xiong et al. 2020, arXiv:2002.04745).

Shapes: B batch, S source length, T target length, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.attention import (
    GroupedQueryAttention,
    GroupedQueryCrossAttention,
    causal_mask,
    padding_mask,
)
from lingolite_cli.model.cache import CacheError, KVCache, LayerCache, check_cache_use
from lingolite_cli.model.layers import FeedForward, RMSNorm, RotaryPositions


def _rotary(config: Architecture) -> RotaryPositions:
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

    def __init__(self, config: Architecture, rotary: RotaryPositions) -> None:
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

    def __init__(self, config: Architecture) -> None:
        super().__init__()
        rotary = _rotary(config)
        self.max_seq_len = config.max_seq_len
        self.embedding_scale = math.sqrt(config.d_model)
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config, rotary) for _ in range(config.n_encoder_layers))
        self.final_norm = RMSNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, src_input_ids: Tensor, src_attention_mask: Tensor | None = None) -> Tensor:
        """Encode sources.

        Args:
            src_input_ids: [B, S] int64.
            src_attention_mask: [B, S], true or 1 on real tokens; None when all are real.

        Returns:
            [B, S, d_model]; what stands at padding means nothing, but is finite.
        """
        check_length(src_input_ids, 0, self.max_seq_len, what="source")
        check_mask(src_attention_mask, src_input_ids.shape)
        mask = None if src_attention_mask is None else padding_mask(src_attention_mask)
        x = self.dropout(self.embedding(src_input_ids) * self.embedding_scale)
        for layer in self.layers:
            x = layer(x, mask)
        output: Tensor = self.final_norm(x)
        return output


def check_mask(src_attention_mask: Tensor | None, shape: Sequence[int]) -> None:
    """Refuse a source mask whose shape is not that of the source, [B, S]."""
    if src_attention_mask is not None and tuple(src_attention_mask.shape) != tuple(shape):
        raise LingoLiteError(
            f"src_attention_mask has shape {tuple(src_attention_mask.shape)}, the source {tuple(shape)}",
            hint="pass [batch, source length], 1 on real tokens and 0 on padding",
        )


def _whole_target_mask(mask: Tensor, tgt_input_ids: Tensor, past: int) -> Tensor:
    """[B, T] or [B, past + T] to [B, past + T], true on real tokens."""
    batch, length = tgt_input_ids.shape
    if tuple(mask.shape) == (batch, past + length):
        return mask.bool()
    if tuple(mask.shape) != (batch, length):
        raise LingoLiteError(
            f"tgt_attention_mask has shape {tuple(mask.shape)}, the target {(batch, length)} after {past} cached",
            hint="pass [batch, target length], 1 on real tokens and 0 on padding",
        )
    return torch.cat((mask.new_ones((batch, past)), mask), dim=1).bool()


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to the source, then the feed-forward network."""

    def __init__(self, config: Architecture, rotary: RotaryPositions) -> None:
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

    def __init__(self, config: Architecture, embedding: nn.Module) -> None:
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
        tgt_input_ids: Tensor,
        encoder_output: Tensor | None,
        src_attention_mask: Tensor | None = None,
        *,
        tgt_attention_mask: Tensor | None = None,
        past_key_values: Sequence[LayerCache] | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, list[LayerCache] | None]:
        """Logits of the token after each target token.

        Args:
            tgt_input_ids: [B, T] int64; with filled caches only the tokens after the cached ones.
            encoder_output: [B, S, d_model]; None when the caches hold its keys and values.
            src_attention_mask: [B, S], true or 1 on real tokens; None when all are real.
            tgt_attention_mask: true or 1 on real target tokens, [B, T], or [B, P + T] after P cached ones, which are
                real otherwise; None when all are real. Padding on the right needs none: no token attends to later
                ones.
            past_key_values: one a layer, from the call before; needs `use_cache=True`.
            use_cache: return the caches for the next call.

        Returns:
            logits [B, T, V], and the updated caches, or None without `use_cache`.

        Raises:
            CacheError: a cache came without `use_cache=True`, or does not fit.
            LingoLiteError: a length or a shape does not fit, with its value.
        """
        check_cache_use(past_key_values, use_cache)
        caches = self._caches(past_key_values)
        past, length = len(caches[0].self_attention), tgt_input_ids.size(-1)
        check_length(tgt_input_ids, past, self.max_seq_len, what="target")
        if encoder_output is not None:
            check_mask(src_attention_mask, encoder_output.shape[:2])
        self_mask = causal_mask(length, past + length, device=tgt_input_ids.device) if length > 1 else None
        if tgt_attention_mask is not None:
            padding = padding_mask(_whole_target_mask(tgt_attention_mask, tgt_input_ids, past))
            self_mask = padding if self_mask is None else self_mask + padding
        cross_mask = None if src_attention_mask is None else padding_mask(src_attention_mask)
        x = self.dropout(self.embedding(tgt_input_ids) * self.embedding_scale)
        updated = []
        for layer, cache in zip(self.layers, caches, strict=True):
            x, cache = layer(x, encoder_output, self_mask=self_mask, cross_mask=cross_mask, cache=cache)
            updated.append(cache)
        return self.lm_head(self.final_norm(x)), updated if use_cache else None

    def _caches(self, past_key_values: Sequence[LayerCache] | None) -> Sequence[LayerCache]:
        if past_key_values is None:
            return [LayerCache(KVCache(), KVCache())] * len(self.layers)
        if len(past_key_values) != len(self.layers):
            raise CacheError(
                f"{len(past_key_values)} layer caches were passed to a decoder of {len(self.layers)} layers",
                hint="pass back the caches that this decoder returned",
            )
        return past_key_values
