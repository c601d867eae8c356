"""The operations that the network is described in: what an engine implements to have it.

Owns the protocol. `lingolite_cli.architecture.network` says once in which order a network of any architecture applies
them; an emitter says what each is in PyTorch, in ONNX or in another engine. They are of middling size, so that an
emitter can put a fused kernel behind one. Imports nothing heavy.

B batch, S source, T target, H heads, K key/value heads, D head_dim, V vocabulary. Rows are hidden states with a row a
token, in whatever layout the engine likes: [B, T, width], or [B·T, width].
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, Ssru

V = TypeVar("V")
"""What the engine calls a value: a tensor, or the name of one in a graph."""


class Operations(Protocol[V]):
    """An engine's own kind of each operation that blocks are made of.

    Values of an operation have a name (`lingolite_cli.architecture.recording`): that of its layer; where it has no
    parameter, that of its block and a suffix. An emitter that can expose values notes under which name.
    """

    def norm(self, x: V, norm: Layer) -> V:
        """x normed along its last axis. Named like the norm."""

    def linear(self, x: V, *layers: Layer) -> tuple[V, ...]:
        """The products of x with several matrices, with their biases. Named like the layers.

        They read the same input: an engine may compute them as one product, and round the input once.
        """

    def linear_plus(self, x: V, layer: Layer, residual: V) -> V:
        """As `linear` with one matrix, added to `residual`. The sum is named BLOCK.sum."""

    def add(self, residual: V, change: V, block: str) -> V:
        """The residual sum after a block whose last operation is no product. Named BLOCK.sum."""

    def heads(self, attention: Attention, parts: tuple[V, ...], rotation: V | None) -> tuple[V, ...]:
        """Queries, keys and values by head, or queries alone, or keys and values alone.

        Args:
            attention: whose they are.
            parts: what `linear` gave for its layers.
            rotation: from `rotation`: queries and keys are rotated by their positions; None: they are not.
        """

    def attend(self, attention: Attention, query: V, key: V, value: V, mask: V | None, bias: V | None) -> V:
        """softmax(query keyᵀ · scale + bias + mask) value (Vaswani et al. 2017, eq. 1), heads side by side as rows.

        Head h reads key/value head h // group. Named like the attention.

        Args:
            attention: whose heads they are.
            query: by head.
            key: by head.
            value: by head.
            mask: from `mask` or `causal`; None: nothing is hidden.
            bias: from `relative_bias`; None: none.
        """

    def activate(self, block: FeedForward, up: V) -> V:
        """The activation of the feed-forward network. Named BLOCK.hidden."""

    def gate(self, block: FeedForward, gate: V, up: V) -> V:
        """The activation of `gate`, times `up`. Named BLOCK.hidden."""


class StackOperations(Operations[V], Protocol[V]):
    """Those that a stack is made of besides: all that an encoder needs."""

    def enter(self, layer: str | None) -> None:
        """What follows belongs to the layer of this name; None: to the stack itself."""

    def mask(self, mask: V) -> V:
        """What hides padding of the source from attention, from `mask` [B, S], which is True on real tokens."""

    def rotation(self, stack: Encoder | Decoder) -> V:
        """The rotary tables of the positions at hand; see `lingolite_cli.architecture.rotary`."""

    def relative_bias(self, stack: Encoder | Decoder) -> V:
        """[1, H, queries, keys] from the stack's table and the distances at hand; see
        `lingolite_cli.architecture.positions`."""

    def embed(self, table: Layer, ids: V, scale: float) -> V:
        """Rows of `table` for `ids`, times `scale`. Named like the table."""

    def positions(self, x: V, stack: Encoder | Decoder) -> V:
        """x plus the vectors of its positions. Named STACK.positions."""


class SourceOperations(Operations[V], Protocol[V]):
    """Those that prepare the source for the decoder."""

    def keep(self, attention: Attention, key: V, value: V) -> None:
        """Keys and values of the source, for the decoder's `recall`. Named NAME.key_cache and NAME.value_cache."""


class DecoderOperations(StackOperations[V], Protocol[V]):
    """Those that a decoder needs besides, which has a state."""

    def causal(self) -> V | None:
        """What hides later target tokens from earlier ones; None where the decoder reads one token a call."""

    def append(self, attention: Attention, key: V, value: V) -> tuple[V, V]:
        """Keys and values of all target tokens so far, from the decoder's state and those of new tokens. The state has
        them from then on."""

    def recall(self, attention: Attention) -> tuple[V, V]:
        """What the encoder's `keep` was given."""

    def ssru(self, block: Ssru, candidate: V, forget: V) -> V:
        """relu(c) with f = sigmoid(forget) and c = f · c' + (1 - f) · candidate, where c' is the decoder's state, at
        first 0, and becomes c. Named BLOCK; c is named BLOCK.cell."""

    def scale(self, x: V, factor: float, name: str) -> V:
        """x times a factor, under a name."""

    def project(self, x: V, projection: Layer) -> V:
        """Logits. Named `output_projection`."""
