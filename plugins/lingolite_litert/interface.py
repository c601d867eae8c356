"""What an app's developer sees of the file: its signatures, their inputs and outputs.

Owns names, shapes and meanings; nothing heavy is imported. B batch, S source, P past, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lingolite_cli.architecture.architecture import Architecture, NoPositions, Relative
from lingolite_cli.architecture.network import Kept, decoder_state, source_state

MODEL = "model.tflite"
ENCODE, DECODE = "encode", "decode"
"""Signatures; those of fixed shapes have a number behind these."""

SOURCE_IDS, SOURCE_MASK = "source_ids", "source_mask"
TOKENS, POSITION, TARGET_MASK, DISTANCES = "tokens", "position", "target_mask", "distances"
LOGITS, LOG_TOTAL = "logits", "log_total"

MASKED = -30000.0
"""Added to the attention score of a key that is not there: its weight becomes 0, in float16 as well."""

GROWTH = 32
"""Past positions that are added at a time: a step whose shapes are those of the step before allocates nothing."""


class Port(msgspec.Struct, frozen=True):
    """An input or output of a signature. `shape` holds numbers and the names of dynamic dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str


class Signature(msgspec.Struct, frozen=True):
    """Inputs and outputs, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def signature_name(kind: str, bucket: int | None) -> str:
    """`encode` or `decode`; with fixed shapes, with the bucket behind it."""
    return kind if bucket is None else f"{kind}_{bucket}"


def encode_signature(config: Architecture, bucket: int | None = None) -> Signature:
    """Of the graph that reads one sentence.

    Args:
        config: the architecture of the model.
        bucket: source tokens, padding included, where shapes are fixed; None: as many as there are.
    """
    padding = "without padding" if bucket is None else "padded on the right"
    inputs = [Port(SOURCE_IDS, "int32", (1, "source"), f"framed source, {padding}")]
    if bucket is not None:
        inputs.append(_source_mask(1))
    cross = _kept(
        "cross", source_state(config), 1, "source", "cross-attention over the source; computed once a sentence"
    )
    return _fixed(Signature(tuple(inputs), cross), bucket)


def decode_signature(config: Architecture, bucket: int | None = None) -> Signature:
    """Of the graph that reads one target token a row.

    Args:
        config: the architecture of the model.
        bucket: source tokens and past positions, padding included, where shapes are fixed; there is then one row.
    """
    state = decoder_state(config)
    has_past = any(one.kind == "key" for one in state)
    inputs = [
        Port(TOKENS, "int32", ("batch",), "last token of each row; at first the start token"),
        _source_mask("batch"),
        *_kept("cross", source_state(config), "batch", "source", "the outputs of `encode`"),
    ]
    if has_past:
        meaning = f"0 on positions before this one and on the last, {MASKED:g} on others"
        inputs.append(Port(TARGET_MASK, "float32", (1, 1, 1, "past + 1"), meaning))
    if isinstance(config.positions, Relative):
        inputs.append(Port(DISTANCES, "int32", ("past + 1",), "this position less that of each past one; 0 at last"))
    elif not isinstance(config.positions, NoPositions):
        inputs.append(Port(POSITION, "int32", (1,), "target tokens read before this call"))
    meaning = "keys and values of earlier calls, in their positions" if has_past else "state of the recurrent unit"
    inputs += _kept("past", state, "batch", "past", meaning)
    outputs = (
        Port(LOGITS, "float32", ("batch", config.vocab_size), "of the next token"),
        Port(LOG_TOTAL, "float32", ("batch", 1), "logits less this number are log-probabilities"),
        *_kept("new", state, "batch", 1, "to be put in this position" if has_past else "the next call's state"),
    )
    return _fixed(Signature(tuple(inputs), outputs), bucket)


def _source_mask(batch: int | str) -> Port:
    return Port(SOURCE_MASK, "float32", (batch, 1, 1, "source"), f"0 on real tokens, {MASKED:g} on padding")


def _fixed(signature: Signature, bucket: int | None) -> Signature:
    """The signature with numbers in the place of dynamic dimensions."""
    if bucket is None:
        return signature
    sizes: dict[int | str, int] = {"batch": 1, "source": bucket, "past": bucket, "past + 1": bucket + 1}

    def fixed(ports: Sequence[Port]) -> tuple[Port, ...]:
        shapes = [tuple(size if isinstance(size, int) else sizes[size] for size in port.shape) for port in ports]
        return tuple(
            Port(port.name, port.dtype, shape, port.meaning) for port, shape in zip(ports, shapes, strict=True)
        )

    return Signature(fixed(signature.inputs), fixed(signature.outputs))


def _kept(prefix: str, kept: Sequence[Kept], batch: int | str, length: int | str, meaning: str) -> tuple[Port, ...]:
    """Keys and values [B, K, length, D] and cells [B, width] of each decoder layer."""

    def shape(one: Kept) -> tuple[int | str, ...]:
        return (batch, one.width) if one.kind == "cell" else (batch, one.heads, length, one.width)

    return tuple(
        Port(f"{prefix}_{one.name}", "float32", shape(one), f"{meaning}; decoder layer {one.layer}") for one in kept
    )
