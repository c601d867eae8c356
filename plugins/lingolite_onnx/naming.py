"""Names inside graphs that tell which weight matrices a tensor belongs to.

The checks replay the integers that a graph's activations were rounded to, and find them by these names. So whoever
builds a product names its output here, and whoever checks one reads the name here. No runtime looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_onnx.interface import LOGITS

SUMS = ".sums"
"""Ends the name of an integer product's output, int32; before it stand the names of its matrices."""

PRODUCT = ".product"
"""Ends the name of the output of other products likewise; that of the output projection is `LOGITS`."""

INTEGERS = ".integers"
"""Ends the name of rounded activations, where a graph rounds them itself; before it stand the matrices they meet."""

_JOINT = "+"


def joined_name(names: Iterable[str]) -> str:
    """The name of several matrices that are multiplied as one."""
    return _JOINT.join(names)


def matrices_of(tensor: str, suffix: str) -> tuple[str, ...]:
    """The matrices that the tensor NAME + `suffix` belongs to."""
    return (OUTPUT_PROJECTION,) if tensor == LOGITS else tuple(tensor.removesuffix(suffix).split(_JOINT))
