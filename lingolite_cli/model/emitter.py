"""The operations of the network in PyTorch, over leaf modules by name.

Owns what an operation is; the order is that of `lingolite_cli.architecture.network`, and the modules are those of
`lingolite_cli.model.layers` and `attention`, or what quantization put into their places. Rows are [B, T, width].
B batch, S source, T new target tokens, P positions, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.architecture.architecture import Activation, Architecture
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, Ssru
from lingolite_cli.model.cache import CellCache, KVCache, LayerCache, no_memory

# Finite, so that a row with nothing to attend to becomes a mean and never NaN.
MASKED = -1e30

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
}


class OrderSensitive(nn.Module):
    """A module with float sums or transcendental functions: their last bits depend on the order and the library.

    Attributes:
        compute_dtype: float32; or float64, rounded to float32 at the end, which gives the same bits whatever the
            order. Between integer products that matters: a difference in the last bit of an activation can move it
            to the next integer, and with it a whole translation.
    """

    compute_dtype: torch.dtype = torch.float32


class Modules(msgspec.Struct, frozen=True):
    """The modules of a stack or of one block by name.

    Attributes:
        leaves: by the name of a layer, the children of the module that it lies in, and which of them it is: what takes
            the place of a leaf is found there as well.
        blocks: by name, the attentions, recurrent units and feed-forward networks.
    """

    leaves: Mapping[str, tuple[dict[str, nn.Module | None], str]]
    blocks: Mapping[str, OrderSensitive]


def modules_of(module: nn.Module, name: str) -> Modules:
    """All of `module`, which is itself called `name`."""
    leaves: dict[str, tuple[dict[str, nn.Module | None], str]] = {}
    blocks: dict[str, OrderSensitive] = {}
    for path, parent in module.named_modules(prefix=name, remove_duplicate=False):
        if isinstance(parent, OrderSensitive) and parent._modules:
            blocks[path] = parent
        leaves |= {f"{path}.{child}": (parent._modules, child) for child in parent._modules}
    return Modules(leaves, blocks)


def padding_mask(attention_mask: Tensor) -> Tensor:
    """[B, S], true on real tokens, to an additive float mask [B, 1, 1, S]."""
    return torch.where(attention_mask.bool(), 0.0, MASKED)[:, None, None, :]


def rotate(x: Tensor, cosines: Tensor, signed_sines: Tensor) -> Tensor:
    """x [B, T, heads, D] with each head split in halves; the tables are [T, 1, D], the first half of the sines
    negative."""
    # The minus of the rotation is in the table, so that a roll takes the place of a negation and a concatenation.
    return x * cosines + x.roll(x.size(-1) // 2, dims=-1) * signed_sines


class TorchOperations:
    """Operations that need no state; see `lingolite_cli.architecture.operations.Operations`.

    Args:
        modules: those of the layers.
        activation: of the feed-forward networks.
        dropout: of residual connections and embeddings.
        rotary: tables of the positions at hand, as `rotate` takes them.
    """

    def __init__(
        self,
        modules: Modules,
        activation: Activation,
        *,
        dropout: nn.Module | None = None,
        rotary: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self._modules = modules
        self._activate = ACTIVATIONS[activation]
        self._dropout = dropout if dropout is not None and dropout.training else None
        self._rotary = rotary

    def enter(self, layer: str | None) -> None:
        """Modules have their names."""

    def mask(self, mask: Tensor) -> Tensor:
        """Additive, [B, 1, 1, S]."""
        return padding_mask(mask)

    def rotation(self, stack: Encoder | Decoder) -> Tensor:
        """The cosines; `heads` has the sines as well."""
        assert self._rotary is not None
        return self._rotary[0]

    def norm(self, x: Tensor, norm: Layer) -> Tensor:
        """A leaf module."""
        return self._leaf(norm)(x)

    def linear(self, x: Tensor, *layers: Layer) -> tuple[Tensor, ...]:
        """Leaf modules, one after the other."""
        return tuple([self._leaf(layer)(x) for layer in layers])

    def linear_plus(self, x: Tensor, layer: Layer, residual: Tensor) -> Tensor:
        """[B, T, out]."""
        return residual + self._dropped(self._leaf(layer)(x))

    def add(self, residual: Tensor, change: Tensor, block: str) -> Tensor:
        """[B, T, d_model]."""
        return residual + self._dropped(change)

    def heads(self, attention: Attention, parts: tuple[Tensor, ...], rotation: Tensor | None) -> tuple[Tensor, ...]:
        """Queries [B, T, H, D]; keys and values [B, K, T, D]."""
        by_head = [part.view(*part.shape[:-1], -1, attention.head_dim) for part in parts]
        if rotation is not None:
            assert self._rotary is not None
            # Rotated before it is cached: a key keeps its own position, whenever it is read.
            by_head[:2] = [rotate(part, *self._rotary) for part in by_head[:2]]
        queries = by_head[: len(by_head) % 2]  # there may be no queries, or nothing but queries
        return (*queries, *(part.transpose(1, 2) for part in by_head[len(queries) :]))

    def attend(
        self,
        attention: Attention,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        """[B, T, H·D] from queries [B, T, H, D], keys and values [B, K, P, D].

        The G heads of a group become rows of one query matrix, so keys and values are never repeated.
        """
        batch, length = query.shape[:2]
        compute_dtype = self._block(attention.name).compute_dtype
        group, kv_heads = attention.group, attention.n_kv_heads
        grouped = query.view(batch, length, kv_heads, group, attention.head_dim)
        rows = grouped.permute(0, 2, 3, 1, 4).flatten(2, 3)  # [B, K, G·T, D]
        # A mask of one row broadcasts over all queries, whatever their order; a causal one is needed once a head.
        if mask is not None and mask.size(-2) > 1:
            mask = mask.repeat(*[1] * (mask.dim() - 2), group, 1)  # [..., G·T, P]
        if bias is not None:
            by_group = bias.view(1, kv_heads, group * length, -1)
            mask = by_group if mask is None else by_group + mask
        rows, key, value = (part.to(compute_dtype) for part in (rows, key, value))
        mask = None if mask is None else mask.to(compute_dtype)
        attended = F.scaled_dot_product_attention(rows, key, value, attn_mask=mask, scale=attention.scale).to(
            query.dtype
        )
        by_head = attended.reshape(batch, attention.n_heads, length, attention.head_dim)
        return by_head.transpose(1, 2).flatten(2)

    def activate(self, block: FeedForward, up: Tensor) -> Tensor:
        """[B, T, d_ff]."""
        return self._activate(up.to(self._block(block.name).compute_dtype)).to(up.dtype)

    def gate(self, block: FeedForward, gate: Tensor, up: Tensor) -> Tensor:
        """[B, T, d_ff]."""
        compute_dtype = self._block(block.name).compute_dtype
        # The activation alone is computed in the wider dtype: its exponential differs in the last bit from library to
        # library.
        activated = self._activate(gate.to(compute_dtype)) * up
        return activated.to(up.dtype) if compute_dtype == torch.float64 else activated

    def scale(self, x: Tensor, factor: float, name: str) -> Tensor:
        """x times a factor."""
        return x * factor

    def _leaf(self, layer: Layer) -> Callable[..., Tensor]:
        children, child = self._modules.leaves[layer.name]
        module = children[child]
        assert module is not None
        return module

    def _block(self, name: str) -> OrderSensitive:
        return self._modules.blocks[name]

    def _dropped(self, x: Tensor) -> Tensor:
        return x if self._dropout is None else self._dropout(x)


class TorchStack(TorchOperations):
    """Operations of a whole stack: the encoder's.

    Args:
        modules: those of the layers.
        architecture: of the network.
        dropout: of residual connections and embeddings.
        rotary: tables of the positions at hand, where they are rotary.
        position_rows: [T, d_model], what is added to the embeddings, where something is.
        relative_bias: [1, H, T, P], where scores have a bias.
    """

    def __init__(
        self,
        modules: Modules,
        architecture: Architecture,
        *,
        dropout: nn.Module,
        rotary: tuple[Tensor, Tensor] | None,
        position_rows: Tensor | None,
        relative_bias: Tensor | None,
    ) -> None:
        super().__init__(modules, architecture.activation, dropout=dropout, rotary=rotary)
        self._position_rows = position_rows
        self._relative_bias = relative_bias

    def embed(self, table: Layer, ids: Tensor, scale: float) -> Tensor:
        """[B, T, d_model] from ids [B, T]."""
        rows = self._leaf(table)(ids) * scale
        return rows if self._position_rows is not None else self._dropped(rows)

    def positions(self, x: Tensor, stack: Encoder | Decoder) -> Tensor:
        """x [B, T, d_model] with the vectors of its positions."""
        assert self._position_rows is not None
        return self._dropped(x + self._position_rows)

    def relative_bias(self, stack: Encoder | Decoder) -> Tensor:
        """[1, H, T, P]."""
        assert self._relative_bias is not None
        return self._relative_bias


class TorchDecoder(TorchStack):
    """Operations of the decoder.

    Args:
        caches: of each layer; they are not changed.
        self_mask: additive, hides later target tokens and padding; None: nothing is hidden.
        **stack: as of `TorchStack`.

    Attributes:
        caches: of each layer, with what this call added.
    """

    def __init__(
        self,
        modules: Modules,
        architecture: Architecture,
        caches: list[LayerCache],
        *,
        self_mask: Tensor | None,
        dropout: nn.Module,
        rotary: tuple[Tensor, Tensor] | None,
        position_rows: Tensor | None,
        relative_bias: Tensor | None,
    ) -> None:
        super().__init__(
            modules,
            architecture,
            dropout=dropout,
            rotary=rotary,
            position_rows=position_rows,
            relative_bias=relative_bias,
        )
        self.caches = caches
        self._self_mask = self_mask

    def causal(self) -> Tensor | None:
        """[T, P] or [B, 1, T, P]."""
        return self._self_mask

    def append(self, attention: Attention, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """[B, K, P + T, D] each."""
        cache = self.caches[attention.index]
        past = cache.self_attention
        assert isinstance(past, KVCache)
        grown = past.append(key, value)
        self.caches[attention.index] = LayerCache(grown, cache.cross_attention)
        return grown.key, grown.value

    def keep(self, attention: Attention, key: Tensor, value: Tensor) -> None:
        """[B, K, S, D] each."""
        cache = self.caches[attention.index]
        self.caches[attention.index] = LayerCache(cache.self_attention, KVCache(key, value))

    def recall(self, attention: Attention) -> tuple[Tensor, Tensor]:
        """[B, K, S, D] each."""
        cache = self.caches[attention.index].cross_attention
        if not cache:
            raise no_memory()
        return cache.key, cache.value

    def ssru(self, block: Ssru, candidate: Tensor, forget: Tensor) -> Tensor:
        """[B, T, d_model], token after token."""
        compute_dtype = self._block(block.name).compute_dtype
        share, wide = torch.sigmoid(forget.to(compute_dtype)), candidate.to(compute_dtype)
        cache = self.caches[block.index]
        past = cache.self_attention
        assert isinstance(past, CellCache)
        cell, cells = past.before(candidate), []
        for position in range(candidate.size(1)):
            kept, taken = share[:, position], wide[:, position]
            # Rounded, because a state is float32 wherever it is kept.
            cell = (kept * cell.to(compute_dtype) + (1 - kept) * taken).to(candidate.dtype)
            cells.append(cell)
        self.caches[block.index] = LayerCache(CellCache(cell, len(past) + len(cells)), cache.cross_attention)
        return F.relu(torch.stack(cells, dim=1))

    def project(self, x: Tensor, projection: Layer) -> Tensor:
        """[B, T, V]."""
        return self._leaf(projection)(x)
