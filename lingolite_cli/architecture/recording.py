"""An emitter that computes nothing and notes what the network does: its layers, who reads which input, its operations.

Owns the names and words of operations. Everything else that is to be known of a network without running it follows
from a recording (`lingolite_cli.architecture.tensors`). Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.network import decode, encode, read_source
from lingolite_cli.architecture.parts import (
    Attention,
    Decoder,
    Encoder,
    FeedForward,
    Layer,
    Role,
    Ssru,
    parts_of,
)

OUTPUT_PROJECTION = "output_projection"
"""What traces and the reference call the output projection, whichever matrix serves as such."""

ROTATED_QUERY, ROTATED_KEY = ".rotated_query", ".rotated_key"
KEY_CACHE, VALUE_CACHE = ".key_cache", ".value_cache"
HIDDEN, SUM, CELL = ".hidden", ".sum", ".cell"
"""End the names of operations without a parameter, after the name of their block: queries and keys at rotary positions,
what attention reads of them, the activation of a feed-forward network, the residual sum after the block, and the state
of a recurrent unit."""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the network.

    Attributes:
        name: of its values in a trace.
        words: what it computes.
        reads_source: it has a value a source token; the others have one a target token.
        is_embedding: it looks up rows of a matrix by token.
        adds_to: of a residual sum, the operation whose values a block's outcome is added to.
    """

    name: str
    words: str
    reads_source: bool
    is_embedding: bool = False
    adds_to: str | None = None


class Recording(msgspec.Struct, frozen=True):
    """What a network does.

    Attributes:
        layers: those with parameters, in the order of computation; a tied one as well.
        groups: the linear layers, those together that read the same input.
        operations: by name, in the order of computation.
    """

    layers: tuple[Layer, ...]
    groups: tuple[tuple[Layer, ...], ...]
    operations: dict[str, Operation]


class _Value(msgspec.Struct, frozen=True):
    """A value: which one, whether it has a row for each source token, and the operation that it is of, if any."""

    number: int
    reads_source: bool
    name: str | None = None


@lru_cache(maxsize=64)
def record(architecture: Architecture) -> Recording:
    """What a network of this architecture does."""
    parts = parts_of(architecture)
    recorder = _Recorder({layer.cross_attention.name for layer in parts.decoder.layers})
    source, mask = recorder.value(reads_source=True), recorder.value(reads_source=True)
    encoded = encode(recorder, parts, source, mask)
    read_source(recorder, parts, encoded)
    decode(recorder, parts, recorder.value(reads_source=False), mask)
    groups = tuple(tuple(group) for group in recorder.readers.values())
    return Recording(tuple(recorder.layers.values()), groups, recorder.operations)


class _Recorder:
    """See `lingolite_cli.architecture.operations.Operations`."""

    def __init__(self, cross_attentions: Set[str]) -> None:
        self._cross_attentions = cross_attentions
        self.layers: dict[str, Layer] = {}
        self.readers: dict[_Value, list[Layer]] = {}
        self.operations: dict[str, Operation] = {}
        self._count = 0

    def value(self, *, reads_source: bool, name: str | None = None) -> _Value:
        """A new value."""
        self._count += 1
        return _Value(self._count, reads_source, name)

    def enter(self, layer: str | None) -> None:
        """Names say where a layer lies."""

    def mask(self, mask: _Value) -> _Value:
        return mask

    def causal(self) -> None:
        return None

    def rotation(self, stack: Encoder | Decoder) -> _Value:
        return self.value(reads_source=stack.name == "encoder")

    def relative_bias(self, stack: Encoder | Decoder) -> _Value:
        assert stack.relative_bias is not None
        self._keep(stack.relative_bias)
        return self.value(reads_source=stack.name == "encoder")

    def embed(self, table: Layer, ids: _Value, scale: float) -> _Value:
        self._keep(table)
        what = "source" if ids.reads_source else "target"
        return self._note(table.name, f"embedding of the {what}", like=ids, is_embedding=True)

    def positions(self, x: _Value, stack: Encoder | Decoder) -> _Value:
        if stack.positions is not None:
            self._keep(stack.positions)
        return self._note(positions_name(stack), "embedding with its position added", like=x)

    def norm(self, x: _Value, norm: Layer) -> _Value:
        self._keep(norm)
        return self._note(norm.name, "norm", like=x)

    def linear(self, x: _Value, *layers: Layer) -> tuple[_Value, ...]:
        self.readers.setdefault(x, []).extend(layers)
        for layer in layers:
            self._keep(layer)
        return tuple(self._note(layer.name, self._words(layer), like=x) for layer in layers)

    def linear_plus(self, x: _Value, layer: Layer, residual: _Value) -> _Value:
        assert layer.block is not None
        (product,) = self.linear(x, layer)
        return self.add(residual, product, layer.block)

    def add(self, residual: _Value, change: _Value, block: str) -> _Value:
        return self._note(block + SUM, "residual sum", like=residual, adds_to=residual.name)

    def heads(self, attention: Attention, parts: tuple[_Value, ...], rotation: _Value | None) -> tuple[_Value, ...]:
        if rotation is None:
            return parts
        query, key, value = parts
        return (
            self._note(attention.name + ROTATED_QUERY, "queries at their rotary positions", like=query),
            self._note(attention.name + ROTATED_KEY, "keys at their rotary positions", like=key),
            value,
        )

    def append(self, attention: Attention, key: _Value, value: _Value) -> tuple[_Value, _Value]:
        return key, value

    def keep(self, attention: Attention, key: _Value, value: _Value) -> None:
        self._cache(attention, key)

    def recall(self, attention: Attention) -> tuple[_Value, _Value]:
        return self.value(reads_source=True), self.value(reads_source=True)

    def attend(
        self,
        attention: Attention,
        query: _Value,
        key: _Value,
        value: _Value,
        mask: _Value | None,
        bias: _Value | None,
    ) -> _Value:
        if not attention.reads_source:
            self._cache(attention, key)
        what = "attention over the source" if attention.reads_source else "self-attention"
        return self._note(attention.name, f"{what}: scores, scale, mask and softmax", like=query)

    def activate(self, block: FeedForward, up: _Value) -> _Value:
        return self._note(block.name + HIDDEN, "activation of the feed-forward network", like=up)

    def gate(self, block: FeedForward, gate: _Value, up: _Value) -> _Value:
        return self.activate(block, up)

    def ssru(self, block: Ssru, candidate: _Value, forget: _Value) -> _Value:
        cell = self._note(block.name + CELL, "state of the recurrent unit", like=candidate)
        return self._note(block.name, "output of the recurrent unit", like=cell)

    def scale(self, x: _Value, factor: float, name: str) -> _Value:
        return self._note(name, "scaled input of the output projection", like=x)

    def project(self, x: _Value, projection: Layer) -> _Value:
        self.readers.setdefault(x, []).append(projection)
        self._keep(projection)
        return self._note(OUTPUT_PROJECTION, "output projection: the logits", like=x)

    def _keep(self, layer: Layer) -> None:
        self.layers.setdefault(layer.name, layer)

    def _cache(self, attention: Attention, like: _Value) -> None:
        read = (
            "of the source as the decoder reads them"
            if attention.reads_source
            else "as attention reads them, from the cache in a decoder"
        )
        self._note(attention.name + KEY_CACHE, f"keys {read}", like=like)
        self._note(attention.name + VALUE_CACHE, f"values {read}", like=like)

    def _words(self, layer: Layer) -> str:
        return (_SOURCE_WORDS if layer.block in self._cross_attentions else _WORDS).get(layer.role) or _WORDS[
            layer.role
        ]

    def _note(
        self, name: str, words: str, *, like: _Value, is_embedding: bool = False, adds_to: str | None = None
    ) -> _Value:
        self.operations[name] = Operation(
            name=name, words=words, reads_source=like.reads_source, is_embedding=is_embedding, adds_to=adds_to
        )
        return self.value(reads_source=like.reads_source, name=name)


def positions_name(stack: Encoder | Decoder) -> str:
    """What the embeddings of a stack are called after their positions were added."""
    return f"{stack.name}.positions"


_WORDS: dict[Role, str] = {
    "query": "queries",
    "key": "keys",
    "value": "values",
    "attention output": "output matrix of self-attention",
    "candidate": "candidates of the recurrent unit",
    "forget": "forget gates of the recurrent unit, before the sigmoid",
    "gate": "gates of the feed-forward network",
    "up": "first matrix of the feed-forward network",
    "down": "last matrix of the feed-forward network",
}
_SOURCE_WORDS: dict[Role, str] = {
    "query": "queries of attention over the source",
    "key": "keys of the source",
    "value": "values of the source",
    "attention output": "output matrix of attention over the source",
}
