"""Grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245), with a KV cache.

Owns the modules of an attention. What it computes is said in `lingolite_cli.architecture.network`, and what each
operation is in `lingolite_cli.model.emitter`. Shapes: B batch, T query positions, P key positions, H heads, K key/value
heads, D head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lingolite_cli.architecture import network, parts
from lingolite_cli.architecture.architecture import Architecture, NoPositions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.cache import KVCache, check_cache_use, no_memory
from lingolite_cli.model.emitter import MASKED, OrderSensitive, TorchOperations, modules_of, padding_mask
from lingolite_cli.model.layers import RotaryPositions, linear

__all__ = ["GroupedQueryAttention", "GroupedQueryCrossAttention", "causal_mask", "padding_mask"]


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
        block: names and shapes of its matrices; by default those of an attention without biases.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        *,
        n_kv_heads: int,
        rotary: RotaryPositions | None = None,
        block: parts.Attention | None = None,
    ) -> None:
        super().__init__()
        self.block = block or _block(d_model, n_heads, n_kv_heads)
        self.rotary = rotary
        self.q_proj = linear(self.block.query)
        self.k_proj = linear(self.block.key)
        self.v_proj = linear(self.block.value)
        self.o_proj = linear(self.block.output)

    def forward(
        self,
        query: Tensor,
        *,
        mask: Tensor | None = None,
        kv_cache: KVCache | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, KVCache | None]:
        """Attend from `query` to the cached positions and to `query` itself.

        Args:
            query: [B, T, d_model].
            mask: additive float mask that broadcasts to [B, 1, T, P].
            kv_cache: from an earlier call; needs `use_cache=True`.
            use_cache: return the cache for the next call.

        Returns:
            output [B, T, d_model], and the updated cache, or None without `use_cache`.

        Raises:
            CacheError: a cache came without `use_cache=True`, or does not fit the input.
        """
        check_cache_use(kv_cache, use_cache)
        cache = kv_cache if kv_cache is not None else KVCache()
        operations = self._operations(past=len(cache), length=query.size(1))

        def append(attention: parts.Attention, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            nonlocal cache
            cache = cache.append(key, value)
            return cache.key, cache.value

        rotation = None if self.rotary is None else self.rotary.cos
        attended = network.self_attention(
            operations, self.block, query, rotation=rotation, mask=mask, bias=None, append=append
        )
        output: Tensor = self.o_proj(attended)
        return output, cache if use_cache else None

    def _operations(self, *, past: int, length: int) -> TorchOperations:
        rotary = None if self.rotary is None else self.rotary.tables(past, length)
        return TorchOperations(modules_of(self, self.block.name), "silu", rotary=rotary)


class GroupedQueryCrossAttention(GroupedQueryAttention):
    """Attention to another sequence: its keys and values are computed once and then taken from the cache."""

    def forward(
        self,
        query: Tensor,
        key_value: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        kv_cache: KVCache | None = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, KVCache | None]:
        """As of `GroupedQueryAttention`, from `query` to `key_value` [B, P, d_model], or to the positions of a filled
        cache."""
        check_cache_use(kv_cache, use_cache)
        operations = self._operations(past=0, length=query.size(1))
        cache = kv_cache or self._memory(operations, key_value)
        cache.check_batch(query)
        attended = network.cross_attention(operations, self.block, query, memory=(cache.key, cache.value), mask=mask)
        output: Tensor = self.o_proj(attended)
        return output, cache if use_cache else None

    def _memory(self, operations: TorchOperations, key_value: Tensor | None) -> KVCache:
        if key_value is None:
            raise no_memory()
        products = operations.linear(key_value, self.block.key, self.block.value)
        return KVCache(*operations.heads(self.block, products, None))


def _block(d_model: int, n_heads: int, n_kv_heads: int) -> parts.Attention:
    try:
        architecture = Architecture(d_model=d_model, n_heads=n_heads, n_kv_heads=n_kv_heads, positions=NoPositions())
    except ValueError:
        raise LingoLiteError(
            f"d_model {d_model}, n_heads {n_heads} and n_kv_heads {n_kv_heads} do not fit together",
            hint="n_kv_heads divides n_heads, which divides d_model",
        ) from None
    return parts.encoder_layer(architecture, 0).self_attention
