"""The operations of the network: what their values are called in a trace, and what each one is, in words.

An operation with a parameter has the name of that parameter's layer; one without has the name of its block and a suffix
of `lingolite_cli.architecture.tensors`, or the name of an attention alone for what it gives to its output projection.
Owns the list of them. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.tensors import (
    HIDDEN,
    KEY_CACHE,
    OUTPUT_PROJECTION,
    ROTATED_KEY,
    ROTATED_QUERY,
    SUM,
    VALUE_CACHE,
    AttentionNames,
    FeedForwardNames,
    layer_names,
)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the network.

    Attributes:
        name: of its values in a trace.
        words: what it computes.
        reads_source: it has a value a source token; the others have one a target token.
        is_embedding: it looks up rows of a matrix by token.
        is_sum: it adds a block's outcome to what came before.
    """

    name: str
    words: str
    reads_source: bool
    is_embedding: bool = False
    is_sum: bool = False


def operations(config: Architecture) -> dict[str, Operation]:
    """All operations of a network by name, those of each stack in the order of computation."""
    return {operation.name: operation for operation in (*_encoder(config), *_decoder(config))}


def _encoder(config: Architecture) -> Iterator[Operation]:
    names = layer_names(config).encoder
    yield Operation(name=names.embedding, words="embedding of the source", reads_source=True, is_embedding=True)
    for layer in names.layers:
        yield _norm(layer.self_attention_norm, reads_source=True)
        yield from _self_attention(layer.self_attention, reads_source=True)
        yield _norm(layer.feed_forward_norm, reads_source=True)
        yield from _feed_forward(layer.feed_forward, reads_source=True)
    yield _norm(names.output_norm, reads_source=True)


def _decoder(config: Architecture) -> Iterator[Operation]:
    names = layer_names(config).decoder
    yield Operation(name=names.embedding, words="embedding of the target", reads_source=False, is_embedding=True)
    for layer in names.layers:
        yield _norm(layer.self_attention_norm, reads_source=False)
        yield from _self_attention(layer.self_attention, reads_source=False)
        yield _norm(layer.cross_attention_norm, reads_source=False)
        yield from _cross_attention(layer.cross_attention)
        yield _norm(layer.feed_forward_norm, reads_source=False)
        yield from _feed_forward(layer.feed_forward, reads_source=False)
    yield _norm(names.output_norm, reads_source=False)
    yield Operation(name=OUTPUT_PROJECTION, words="output projection: the logits", reads_source=False)


def _norm(name: str, *, reads_source: bool) -> Operation:
    return Operation(name=name, words="norm", reads_source=reads_source)


def _self_attention(names: AttentionNames, *, reads_source: bool) -> Iterator[Operation]:
    words = {
        names.query: "queries",
        names.key: "keys",
        names.value: "values",
        names.name + ROTATED_QUERY: "queries at their rotary positions",
        names.name + ROTATED_KEY: "keys at their rotary positions",
        names.name + KEY_CACHE: "keys as attention reads them, from the cache in a decoder",
        names.name + VALUE_CACHE: "values as attention reads them, from the cache in a decoder",
        names.name: "self-attention: scores, scale, mask and softmax",
        names.output: "output matrix of self-attention",
    }
    for name, meaning in words.items():
        yield Operation(name=name, words=meaning, reads_source=reads_source)
    yield _sum(names.name, reads_source=reads_source)


def _cross_attention(names: AttentionNames) -> Iterator[Operation]:
    yield Operation(name=names.query, words="queries of attention over the source", reads_source=False)
    words = {
        names.key: "keys of the source",
        names.value: "values of the source",
        names.name + KEY_CACHE: "keys of the source as the decoder reads them",
        names.name + VALUE_CACHE: "values of the source as the decoder reads them",
    }
    for name, meaning in words.items():
        yield Operation(name=name, words=meaning, reads_source=True)
    attention = "attention over the source: scores, scale, mask and softmax"
    yield Operation(name=names.name, words=attention, reads_source=False)
    yield Operation(name=names.output, words="output matrix of attention over the source", reads_source=False)
    yield _sum(names.name, reads_source=False)


def _feed_forward(names: FeedForwardNames, *, reads_source: bool) -> Iterator[Operation]:
    words = {
        names.gate: "gates of the feed-forward network",
        names.up: "first matrix of the feed-forward network",
        names.name + HIDDEN: "activation of the feed-forward network",
        names.down: "last matrix of the feed-forward network",
    }
    for name, meaning in words.items():
        yield Operation(name=name, words=meaning, reads_source=reads_source)
    yield _sum(names.name, reads_source=reads_source)


def _sum(block: str, *, reads_source: bool) -> Operation:
    return Operation(name=block + SUM, words="residual sum", reads_source=reads_source, is_sum=True)
