"""Inputs, outputs and states of the two functions: names and shapes, which apps are written against.

Owns the interface, and which named operation a value of a program is. Imports nothing heavy.
B is 1 everywhere. S source, P positions, K key/value heads, D head_dim, V vocabulary.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.network import Kept, decoder_state, source_state
from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.recording import CELL, KEY_CACHE, OUTPUT_PROJECTION, VALUE_CACHE, record
from lingolite_coreml.options import Cache, Compute, Shapes, Target

ENCODE, DECODE = "encode", "decode"
INTERFACE_NAME = "interface.json"
"""The file that says to an app's developer what the functions take and give, without LingoLite and without Python."""
MAIN = "main"
"""What a function is called that is alone in its package."""
SOURCE_IDS, SOURCE_MASK, TOKEN, POSITION, LOGITS = "source_ids", "source_mask", "token", "position", "logits"

Dtype: TypeAlias = Literal["int32", "float32", "float16"]
SOURCE: Final = "S"
"""Stands for the length of the source, 1 to the positions of the program, in a shape."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """An input, output or state of a function."""

    name: str
    dtype: Dtype
    shape: tuple[int | Literal["S"], ...]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What the shapes and types of values depend on besides the model.

    Attributes:
        target: the oldest system that runs the program.
        compute: type of activations.
        cache: what the decoder keeps between calls.
        shapes: of sources.
        positions: that source and target may have.
    """

    target: Target
    compute: Compute
    cache: Cache
    shapes: Shapes
    positions: int

    @property
    def source(self) -> int | Literal["S"]:
        """Length of a source."""
        return self.positions if self.shapes == "fixed" else SOURCE


class FunctionInterface(msgspec.Struct, frozen=True, kw_only=True):
    """What a function takes, gives and keeps."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    states: tuple[Value, ...] = ()


def identifier(operation: str) -> str:
    """What a value of a program is called whose operation has this name: dots are not allowed there."""
    return operation.replace(".", "_")


def source_name(kept: Kept) -> str:
    """Keys or values of the source: outputs of `encode`, inputs of `decode`."""
    return f"cross_{kept.name}"


def past_name(kept: Kept) -> str:
    """What the decoder keeps, as an input or a state."""
    return f"past_{kept.name}"


def present_name(kept: Kept) -> str:
    """The same after the call: an output where it is not a state."""
    return f"present_{kept.name}"


def encode_interface(architecture: Architecture, layout: Layout) -> FunctionInterface:
    """The function `encode`: ids of a source to its keys and values for each decoder layer."""
    ids = Value(name=SOURCE_IDS, dtype="int32", shape=(1, layout.source))
    return FunctionInterface(inputs=(ids, *_mask(layout)), outputs=_of_source(architecture, layout))


def decode_interface(architecture: Architecture, layout: Layout) -> FunctionInterface:
    """The function `decode`: one target token to the logits of the next."""
    kept, compute = decoder_state(architecture), layout.compute
    shapes = [kept_shape(one, layout.positions) for one in kept]
    past = tuple(
        Value(name=past_name(one), dtype=compute, shape=shape) for one, shape in zip(kept, shapes, strict=True)
    )
    inputs = (
        Value(name=TOKEN, dtype="int32", shape=(1, 1)),
        Value(name=POSITION, dtype="int32", shape=(1,)),
        *_mask(layout),
        *_of_source(architecture, layout),
    )
    logits = Value(name=LOGITS, dtype="float32", shape=(1, architecture.vocab_size))
    if layout.cache == "state":
        return FunctionInterface(inputs=inputs, outputs=(logits,), states=past)
    present = tuple(
        Value(name=present_name(one), dtype=compute, shape=shape) for one, shape in zip(kept, shapes, strict=True)
    )
    return FunctionInterface(inputs=(*inputs, *past), outputs=(logits, *present))


def _mask(layout: Layout) -> tuple[Value, ...]:
    """Which tokens of a padded source are real: 1, the others 0."""
    if layout.shapes == "flexible":
        return ()
    return (Value(name=SOURCE_MASK, dtype=layout.compute, shape=(1, layout.positions)),)


def kept_shape(kept: Kept, positions: int) -> tuple[int, ...]:
    """[1, K, P, D] of keys and values, [1, 1, width] of a cell."""
    if kept.kind == "cell":
        return (1, 1, kept.width)
    return (1, kept.heads, positions, kept.width)


def _of_source(architecture: Architecture, layout: Layout) -> tuple[Value, ...]:
    return tuple(
        Value(name=source_name(one), dtype=layout.compute, shape=(1, one.heads, layout.source, one.width))
        for one in source_state(architecture)
    )


def operation_names(architecture: Architecture) -> dict[str, str]:
    """By the name of a value in a program, the operation that it is the value of."""
    names = {identifier(name): name for name in record(architecture).operations}
    names[LOGITS] = OUTPUT_PROJECTION
    suffixes = {"key": KEY_CACHE, "value": VALUE_CACHE, "cell": CELL}
    for kept, layer in (
        (kept, parts_of(architecture).decoder.layers[kept.layer]) for kept in decoder_state(architecture)
    ):
        names[present_name(kept)] = layer.recurrence.name + suffixes[kept.kind]
    for kept, layer in (
        (kept, parts_of(architecture).decoder.layers[kept.layer]) for kept in source_state(architecture)
    ):
        names[source_name(kept)] = layer.cross_attention.name + suffixes[kept.kind]
    return names
