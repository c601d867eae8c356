"""The operations of the network by name: what their values are called in a trace, and what each one is, in words.

An operation with a parameter has the name of that parameter's layer (`encoder.layers.0.self_attn.q_proj`); one without
has the name of its block and a suffix of `lingolite_cli.architecture.tensors`, or the name of an attention alone for
what it gives to its output projection. Owns the words. Imports nothing heavy.
"""

from __future__ import annotations

import re

from lingolite_cli.architecture.tensors import (
    CROSS_ATTENTION,
    HIDDEN,
    KEY_CACHE,
    OUTPUT_PROJECTION,
    ROTATED_KEY,
    ROTATED_QUERY,
    SUM,
    VALUE_CACHE,
)

_WORDS = {
    ".q_proj": "queries",
    ".k_proj": "keys",
    ".v_proj": "values",
    ".o_proj": "output projection of an attention",
    ".gate_proj": "gates of the feed-forward network",
    ".up_proj": "feed-forward network, first matrix",
    ".down_proj": "feed-forward network, last matrix",
    ROTATED_QUERY: "queries at their rotary positions",
    ROTATED_KEY: "keys at their rotary positions",
    KEY_CACHE: "keys as attention reads them",
    VALUE_CACHE: "values as attention reads them",
    HIDDEN: "SwiGLU's activations",
    SUM: "residual sum",
    ".embedding": "embedding",
    CROSS_ATTENTION: "attention over the source: scores, scale, mask and softmax",
    ".self_attn": "self-attention: scores, scale, mask and softmax",
}
_NORM = re.compile(r"norm\d*$")
_MATRIX = re.compile(r"(_proj|\.embedding)$")


def describe_operation(name: str) -> str:
    """What the operation computes, in words."""
    if name == OUTPUT_PROJECTION:
        return "output projection: the logits"
    if _NORM.search(name):
        return "norm"
    return next((words for suffix, words in _WORDS.items() if name.endswith(suffix)), "operation")


def has_matrix(name: str) -> bool:
    """Whether the operation multiplies by a matrix, or looks up its rows: a column of its values is a matrix row."""
    return name == OUTPUT_PROJECTION or _MATRIX.search(name) is not None


def is_embedding(name: str) -> bool:
    """Whether the operation looks up rows of a matrix by token."""
    return name.endswith(".embedding")
