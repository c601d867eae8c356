"""Grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245), with a KV cache.

Shapes: B batch, T query positions, P key positions, H heads, K key/value heads, G = H / K heads that share
one of them, D head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.cache import CacheError, KVCache, check_cache_use
from lingolite_cli.model.layers import OrderSensitive, RotaryPositions

# Finite, so that a row with nothing to attend to becomes a mean and never NaN.
MASKED = -1e30


def padding_mask(attention_mask: Tensor) -> Tensor:
    """[B, S], true on real tokens, to an additive float mask [B, 1, 1, S]."""
    return torch.where(attention_mask.bool(), 0.0, MASKED)[:, None, None, :]


def causal_mask(num_queries: int, num_keys: int, *, device: torch.device) -> Tensor:
    """Additive float mask [T, P] for queries that stand at the last T of P positions."""
    # With a cache, the first of T queries already sees all P - T positions before it.
    mask = torch.full((num_queries, num_keys), MASKED, device=device)
    return mask.triu(num_keys - num_queries + 1)


class GroupedQueryAttention(OrderSensitive):
    """Self-attention in which groups of heads share keys and values.

    Head h reads key/value head h // G.

    Args:
        d_model: width of the input.
        n_heads: H.
        n_kv_heads: K, a divisor of H.
        rotary: positions for queries and keys; None for none.
    """

    def __init__(self, d_model: int, n_heads: int, *, n_kv_heads: int, rotary: RotaryPositions | None = None) -> None:
        super().__init__()
        if d_model % n_heads or n_heads % n_kv_heads:
            raise LingoLiteError(
                f"d_model {d_model}, n_heads {n_heads} and n_kv_heads {n_kv_heads} do not fit together",
                hint="n_kv_heads divides n_heads, which divides d_model",
            )
        self.n_heads, self.n_kv_heads, self.head_dim = n_heads, n_kv_heads, d_model // n_heads
        self.rotary = rotary
        kv_dim = n_kv_heads * self.head_dim
        self.q_proj = nn.Linear(d_model, d_model, bias=False)
        self.k_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.v_proj = nn.Linear(d_model, kv_dim, bias=False)
        self.o_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self,
        query: Tensor,
        key_value: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        kv_cache: KVCache | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, KVCache | None]:
        """Attend from `query` to the cached positions and to `key_value`.

        Args:
            query: [B, T, d_model].
            key_value: [B, P, d_model], what keys and values are made from; None for `query` itself.
            mask: additive float mask that broadcasts to [B, 1, T, P].
            kv_cache: from an earlier call; needs `use_cache=True`.
            use_cache: return the cache for the next call.

        Returns:
            output [B, T, d_model], and the updated cache, or None without `use_cache`.

        Raises:
            CacheError: a cache came without `use_cache=True`, or does not fit the input.
        """
        check_cache_use(kv_cache, use_cache)
        past = kv_cache if kv_cache is not None else KVCache()
        q = self._heads(self.q_proj(query), self.n_heads)
        if self.rotary is not None:
            q = self.rotary(q, len(past))
        cache = self._keys_and_values(query, key_value, past)
        output: Tensor = self.o_proj(self._attend(q, cache, mask))
        return output, cache if use_cache else None

    def _keys_and_values(self, query: Tensor, key_value: Tensor | None, past: KVCache) -> KVCache:
        return past.append(*self._project(query if key_value is None else key_value, offset=len(past)))

    def _project(self, x: Tensor, *, offset: int) -> tuple[Tensor, Tensor]:
        """[B, T, d_model] to keys and values, both [B, K, T, D]."""
        # Rotated before it is cached: a key keeps its own position, whenever it is read.
        key = self._heads(self.k_proj(x), self.n_kv_heads)
        if self.rotary is not None:
            key = self.rotary(key, offset)
        return key.transpose(1, 2), self._heads(self.v_proj(x), self.n_kv_heads).transpose(1, 2)

    def _heads(self, x: Tensor, num_heads: int) -> Tensor:
        """[B, T, heads · D] to [B, T, heads, D]."""
        return x.view(*x.shape[:-1], num_heads, self.head_dim)

    def _attend(self, q: Tensor, cache: KVCache, mask: Tensor | None) -> Tensor:
        """[B, T, H, D] to [B, T, d_model]: softmax(q kᵀ / sqrt(D)) v (Vaswani et al. 2017, eq. 1).

        The G heads of a group become rows of one query matrix, so keys and values are never repeated.
        """
        batch, length = q.shape[:2]
        group = self.n_heads // self.n_kv_heads
        grouped = q.view(batch, length, self.n_kv_heads, group, self.head_dim)
        rows = grouped.permute(0, 2, 3, 1, 4).flatten(2, 3)  # [B, K, G·T, D]
        # A mask of one row broadcasts over all queries, whatever their order; a causal one is needed once a head.
        if mask is not None and mask.size(-2) > 1:
            mask = mask.repeat(*[1] * (mask.dim() - 2), group, 1)  # [..., G·T, P]
        rows, key, value = (part.to(self.compute_dtype) for part in (rows, cache.key, cache.value))
        mask = None if mask is None else mask.to(self.compute_dtype)
        attended = F.scaled_dot_product_attention(rows, key, value, attn_mask=mask).to(q.dtype)
        by_head = attended.reshape(batch, self.n_heads, length, self.head_dim)
        return by_head.transpose(1, 2).flatten(2)


class GroupedQueryCrossAttention(GroupedQueryAttention):
    """Attention to another sequence: its keys and values are computed once and then taken from the cache."""

    def _keys_and_values(self, query: Tensor, key_value: Tensor | None, past: KVCache) -> KVCache:
        # The encoder output does not change while a sentence is decoded: it is projected once, not at each step.
        if past:
            if past.key.size(0) != query.size(0):
                raise CacheError(
                    f"the KV cache has batch {past.key.size(0)}, the input {query.size(0)}",
                    hint="use a cache only with the batch that filled it",
                )
            return past
        if key_value is None:
            raise CacheError(
                "cross-attention got neither an encoder output nor a filled cache",
                hint="pass the encoder output in the first call with use_cache=True",
            )
        return KVCache(*self._project(key_value, offset=0))
