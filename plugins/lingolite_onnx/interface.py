"""What a graph takes and gives, as data: names, dtypes, shapes and meanings.

Owns no graph and imports no engine, so that export_config, runners and builders read the same description.
"""

from __future__ import annotations

import msgspec

LOGITS = "logits"
"""The output of every decoder that holds the scores of the next token."""

MASKED = -1e30
"""Added to the attention score of a padding key: its weight becomes 0. Finite, so that a row of nothing but padding
has no 0/0 in its softmax."""


class Value(msgspec.Struct, frozen=True):
    """An input or output of a graph. `shape` holds numbers and the names of symbolic dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str


class Interface(msgspec.Struct, frozen=True):
    """Inputs and outputs of a graph, in order."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
