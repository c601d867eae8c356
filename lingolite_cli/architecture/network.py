"""The network: encoder, decoder step and what is kept between steps, said once for every engine.

Owns the order of computation of every architecture. Which layers there are is in `lingolite_cli.architecture.parts`,
what an operation is in an engine in the engine's emitter (`lingolite_cli.architecture.operations`). The reference in
numpy is written without this module on purpose, because the others are checked against it. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.operations import (
    DecoderOperations,
    Operations,
    SourceOperations,
    StackOperations,
)
from lingolite_cli.architecture.parts import (
    Attention,
    Decoder,
    Encoder,
    FeedForward,
    Layer,
    Parts,
    Ssru,
    parts_of,
)

V = TypeVar("V")
Append: TypeAlias = Callable[[Attention, V, V], tuple[V, V]]

SCALED = "decoder.scaled"
"""Name of what the output projection reads, where that has a scale."""


def encode(operations: StackOperations[V], parts: Parts, source_ids: V, source_mask: V | None) -> V:
    """Hidden states of the source.

    Args:
        operations: the engine's.
        parts: of the network.
        source_ids: [B, S].
        source_mask: [B, S], True on real tokens; None: all are.
    """
    stack, is_pre = parts.encoder, parts.architecture.norm_place == "pre"
    rotation = operations.rotation(stack) if parts.is_rotary else None
    mask = None if source_mask is None else operations.mask(source_mask)
    bias = operations.relative_bias(stack) if stack.relative_bias else None
    x = _embedded(operations, parts, stack, source_ids)
    for layer in stack.layers:
        operations.enter(layer.name)

        def attend(x: V, residual: V, attention: Attention = layer.self_attention) -> V:
            attended = self_attention(operations, attention, x, rotation=rotation, mask=mask, bias=bias)
            return operations.linear_plus(attended, attention.output, residual)

        x = _sublayer(operations, x, layer.self_attention_norm, attend, is_pre=is_pre)
        x = _feed_forward_sublayer(operations, x, layer.feed_forward_norm, layer.feed_forward, is_pre=is_pre)
    operations.enter(None)
    return _finished(operations, x, stack)


def read_source(operations: SourceOperations[V], parts: Parts, encoded: V) -> None:
    """Keys and values of the source for every decoder layer: computed once a sentence, and kept."""
    attentions = [layer.cross_attention for layer in parts.decoder.layers]
    products = operations.linear(encoded, *(layer for one in attentions for layer in (one.key, one.value)))
    for index, attention in enumerate(attentions):
        key, value = operations.heads(attention, products[2 * index : 2 * index + 2], None)
        operations.keep(attention, key, value)


def decode(operations: DecoderOperations[V], parts: Parts, target_ids: V, source_mask: V | None) -> V:
    """Logits of the token after each of `target_ids`, which follow those that the state has.

    Args:
        operations: the engine's; it has the decoder's state.
        parts: of the network.
        target_ids: [B], or [B, T] in an engine that reads several tokens a call.
        source_mask: [B, S], True on real tokens; None: all are.
    """
    return project(operations, parts, decode_hidden(operations, parts, target_ids, source_mask))


def decode_hidden(operations: DecoderOperations[V], parts: Parts, target_ids: V, source_mask: V | None) -> V:
    """As `decode`, but what the output projection reads."""
    stack, is_pre = parts.decoder, parts.architecture.norm_place == "pre"
    rotation = operations.rotation(stack) if parts.is_rotary else None
    mask = None if source_mask is None else operations.mask(source_mask)
    causal = operations.causal()
    bias = operations.relative_bias(stack) if stack.relative_bias else None
    x = _embedded(operations, parts, stack, target_ids)
    for layer in stack.layers:
        operations.enter(layer.name)

        def recur(x: V, residual: V, block: Attention | Ssru = layer.recurrence) -> V:
            if isinstance(block, Ssru):
                return _ssru(operations, block, x, residual)
            attended = self_attention(
                operations, block, x, rotation=rotation, mask=causal, bias=bias, append=operations.append
            )
            return operations.linear_plus(attended, block.output, residual)

        def read(x: V, residual: V, attention: Attention = layer.cross_attention) -> V:
            attended = cross_attention(operations, attention, x, memory=operations.recall(attention), mask=mask)
            return operations.linear_plus(attended, attention.output, residual)

        x = _sublayer(operations, x, layer.recurrence_norm, recur, is_pre=is_pre)
        x = _sublayer(operations, x, layer.cross_attention_norm, read, is_pre=is_pre)
        x = _feed_forward_sublayer(operations, x, layer.feed_forward_norm, layer.feed_forward, is_pre=is_pre)
    operations.enter(None)
    return _finished(operations, x, stack)


def project(operations: DecoderOperations[V], parts: Parts, x: V) -> V:
    """Logits from the decoder's hidden states."""
    factor = parts.architecture.output_scale
    if factor != 1.0:
        x = operations.scale(x, factor, SCALED)
    return operations.project(x, parts.decoder.projection)


def self_attention(
    operations: Operations[V],
    attention: Attention,
    x: V,
    *,
    rotation: V | None,
    mask: V | None,
    bias: V | None,
    append: Append[V] | None = None,
) -> V:
    """What the output matrix of a self-attention reads; `append` adds keys and values of the state to those of x."""
    products = operations.linear(x, *attention.query_key_value)
    query, key, value = operations.heads(attention, products, rotation)
    if append is not None:
        key, value = append(attention, key, value)
    return operations.attend(attention, query, key, value, mask, bias)


def cross_attention(operations: Operations[V], attention: Attention, x: V, *, memory: tuple[V, V], mask: V | None) -> V:
    """What the output matrix of an attention over the source reads; `memory` are keys and values of the source."""
    (query,) = operations.heads(attention, operations.linear(x, attention.query), None)
    return operations.attend(attention, query, *memory, mask, None)


def feed_forward(operations: Operations[V], block: FeedForward, x: V) -> V:
    """What the last matrix of a feed-forward network reads."""
    products = operations.linear(x, *block.inward)
    if block.gate is None:
        return operations.activate(block, products[0])
    return operations.gate(block, *products)


def _ssru(operations: DecoderOperations[V], block: Ssru, x: V, residual: V) -> V:
    candidate, forget = operations.linear(x, block.candidate, block.forget)
    return operations.add(residual, operations.ssru(block, candidate, forget), block.name)


def _feed_forward_sublayer(operations: Operations[V], x: V, norm: Layer, block: FeedForward, *, is_pre: bool) -> V:
    def feed(x: V, residual: V) -> V:
        return operations.linear_plus(feed_forward(operations, block, x), block.down, residual)

    return _sublayer(operations, x, norm, feed, is_pre=is_pre)


def _sublayer(operations: Operations[V], x: V, norm: Layer, block: Callable[[V, V], V], *, is_pre: bool) -> V:
    """A block with its residual sum, and the norm before or after both."""
    if is_pre:
        return block(operations.norm(x, norm), x)
    return operations.norm(block(x, x), norm)


def _embedded(operations: StackOperations[V], parts: Parts, stack: Encoder | Decoder, ids: V) -> V:
    x = operations.embed(stack.embedding, ids, parts.architecture.embedding_factor)
    return operations.positions(x, stack) if parts.has_added_positions else x


def _finished(operations: Operations[V], x: V, stack: Encoder | Decoder) -> V:
    return x if stack.output_norm is None else operations.norm(x, stack.output_norm)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An array that the decoder keeps from one call to the next, or from the encoder on.

    Attributes:
        name: `key_0`, `value_0` or `cell_0`, with the number of its layer.
        kind: keys and values have heads and positions; a cell is one vector [B, width].
        layer: number of the decoder layer.
        heads: K; 1 for a cell.
        width: D, or the width of a cell.
    """

    name: str
    kind: Literal["key", "value", "cell"]
    layer: int
    heads: int
    width: int


def decoder_state(architecture: Architecture) -> tuple[Kept, ...]:
    """What every call of the decoder reads of the call before, and gives to the next; empty or 0 at first."""
    return tuple(kept for layer in parts_of(architecture).decoder.layers for kept in _kept(layer.recurrence))


def source_state(architecture: Architecture) -> tuple[Kept, ...]:
    """What every call of the decoder reads of the source."""
    return tuple(kept for layer in parts_of(architecture).decoder.layers for kept in _kept(layer.cross_attention))


def _kept(block: Attention | Ssru) -> tuple[Kept, ...]:
    if isinstance(block, Ssru):
        return (Kept(name=f"cell_{block.index}", kind="cell", layer=block.index, heads=1, width=block.width),)
    heads, width = block.n_kv_heads, block.head_dim
    return (
        Kept(name=f"key_{block.index}", kind="key", layer=block.index, heads=heads, width=width),
        Kept(name=f"value_{block.index}", kind="value", layer=block.index, heads=heads, width=width),
    )
