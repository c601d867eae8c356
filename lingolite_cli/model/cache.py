"""The KV cache: keys and values that decoding keeps from one step to the next.

A cache is never changed: attention returns a new one. So a search may keep an old cache and branch from it.
Shapes: B batch, K key/value heads, P cached positions, D head_dim.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lingolite_cli.errors import LingoLiteError


class CacheError(LingoLiteError, ValueError):
    """A cache was used in a way that cannot give the right answer."""


class KVCache:
    """Keys and values of one attention.

    `KVCache()` is empty; a call with `use_cache=True` returns a filled one.

    Args:
        key: [B, K, P, D], already rotated.
        value: [B, K, P, D].
    """

    __slots__ = ("_key", "_value")

    def __init__(self, key: Tensor | None = None, value: Tensor | None = None) -> None:
        shapes = [None if tensor is None else tuple(tensor.shape) for tensor in (key, value)]
        if shapes[0] != shapes[1]:
            raise CacheError(
                f"keys of shape {shapes[0]} do not go with values of shape {shapes[1]}",
                hint="both are [batch, n_kv_heads, positions, head_dim]",
            )
        self._key = key
        self._value = value

    def __len__(self) -> int:
        """Number of cached positions; an empty cache is therefore false."""
        return 0 if self._key is None else self._key.size(2)

    @property
    def key(self) -> Tensor:
        """[B, K, P, D]. Raises `CacheError` when the cache is empty."""
        return _filled(self._key, "keys")

    @property
    def value(self) -> Tensor:
        """[B, K, P, D]. Raises `CacheError` when the cache is empty."""
        return _filled(self._value, "values")

    def append(self, key: Tensor, value: Tensor) -> KVCache:
        """A cache with the columns of `key` and `value`, both [B, K, T, D], after those of this one."""
        if self._key is None or self._value is None:
            return KVCache(key, value)
        _check_fits(self._key, key)
        return KVCache(torch.cat((self._key, key), dim=2), torch.cat((self._value, value), dim=2))

    def check_batch(self, x: Tensor) -> None:
        """Refuse a cache of another batch than that of x [B, …].

        Raises:
            CacheError: with both sizes.
        """
        _check_batch(self.key, x)

    def select(self, rows: Tensor) -> KVCache:
        """A cache of the given rows, [R] int64, in that order; repeats are allowed."""
        return KVCache(self.key.index_select(0, rows), self.value.index_select(0, rows))


class CellCache:
    """The state of a recurrent unit, which takes the place of self-attention's keys and values.

    Args:
        cell: [B, d_model] after the last token; None before the first.
        length: target tokens read.
    """

    __slots__ = ("_length", "cell")

    def __init__(self, cell: Tensor | None = None, length: int = 0) -> None:
        self.cell = cell
        self._length = length

    def __len__(self) -> int:
        """Target tokens read; an empty cache is therefore false."""
        return self._length

    def before(self, x: Tensor) -> Tensor:
        """The state [B, d_model] that x [B, T, d_model] follows; zeros at first.

        Raises:
            CacheError: it is of another batch.
        """
        if self.cell is None:
            return torch.zeros_like(x[:, 0])
        _check_batch(self.cell, x)
        return self.cell

    def select(self, rows: Tensor) -> CellCache:
        """A cache of the given rows, [R] int64, in that order; repeats are allowed."""
        return CellCache(_filled(self.cell, "state").index_select(0, rows), self._length)


class LayerCache(NamedTuple):
    """Caches of one decoder layer: of what reads earlier target tokens, which grows a column a token where that is
    self-attention, and of cross-attention, which is filled once a sentence."""

    self_attention: KVCache | CellCache
    cross_attention: KVCache

    def select(self, rows: Tensor, *, with_source: bool = True) -> LayerCache:
        """Caches of the given rows, [R] int64; those of cross-attention stay as they are unless `with_source`."""
        cross = self.cross_attention.select(rows) if with_source else self.cross_attention
        return LayerCache(self.self_attention.select(rows), cross)


def check_cache_use(kv_cache: object | None, use_cache: bool) -> None:
    """Refuse a cache in a call that was not told to use one.

    Raises:
        CacheError: with what to do about it.
    """
    if kv_cache is not None and not use_cache:
        raise CacheError(
            "a KV cache was passed with use_cache=False, so it would be neither read nor updated",
            hint="pass use_cache=True and go on with the cache that the call returns, or pass no cache",
        )


def _filled(tensor: Tensor | None, what: str) -> Tensor:
    if tensor is None:
        raise CacheError(
            f"the KV cache holds no {what}: no call has filled it",
            hint="call the model with use_cache=True and take the cache that it returns; "
            "the one that was passed in does not change",
        )
    return tensor


def no_memory() -> CacheError:
    """For attention over the source has nothing to attend to."""
    return CacheError(
        "cross-attention got neither an encoder output nor a filled cache",
        hint="pass the encoder output in the first call with use_cache=True",
    )


def _check_batch(cached: Tensor, x: Tensor) -> None:
    if cached.size(0) != x.size(0):
        raise CacheError(
            f"the KV cache has batch {cached.size(0)}, the input {x.size(0)}",
            hint="use a cache only with the batch that filled it",
        )


def _check_fits(cached: Tensor, new: Tensor) -> None:
    axes = ("batch", "n_kv_heads", "positions", "head_dim")
    for axis in (0, 1, 3):
        if cached.size(axis) != new.size(axis):
            raise CacheError(
                f"the KV cache has {axes[axis]} {cached.size(axis)}, the input {new.size(axis)}",
                hint="use a cache only with the batch and the model that filled it",
            )
