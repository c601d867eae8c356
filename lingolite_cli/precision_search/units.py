"""The parts of a model that get a precision each: single matrices, blocks or whole layers.

Owns how matrices are grouped, and how a mix of precisions is written as a quantizer's `default` and `layers`. Which
matrices there are is `lingolite_cli.architecture.tensors`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod
from typing import Literal, TypeAlias

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.tensors import TensorSpec, tensor_specs

Granularity: TypeAlias = Literal["layer", "block", "matrix"]
Mix: TypeAlias = tuple[str, ...]
"""The precision of each unit, in the order of the units."""


class Unit(msgspec.Struct, frozen=True):
    """Matrices that share a precision.

    Attributes:
        name: of the layer, the block or the matrix.
        matrices: their names, without `.weight`.
        num_weights: elements of all of them.
    """

    name: str
    matrices: tuple[str, ...]
    num_weights: int

    @property
    def pattern(self) -> str:
        """What matches its matrices and no others, for the quantizer's `layers`."""
        return self.name if self.matrices == (self.name,) else f"{self.name}.*"


class Assignment(msgspec.Struct, frozen=True):
    """A mix as the options of a quantizer."""

    default: str
    layers: dict[str, str]


def units_of(config: Architecture, granularity: Granularity) -> list[Unit]:
    """The matrices of a float bundle grouped: encoder before decoder, and layers by their number.

    Args:
        config: the shape of the model.
        granularity: `block` keeps self-attention, cross-attention and the feed-forward network apart; what lies
            outside the layers, such as the embedding, is a unit of its own in any case.
    """
    specs = sorted((spec for spec in tensor_specs(config) if spec.is_matrix), key=lambda spec: _order(spec.name))
    groups: dict[str, list[TensorSpec]] = {}
    for spec in specs:
        groups.setdefault(_unit_name(spec, granularity), []).append(spec)
    return [
        Unit(name, tuple(member.name for member in members), sum(prod(member.shape) for member in members))
        for name, members in groups.items()
    ]


def _unit_name(spec: TensorSpec, granularity: Granularity) -> str:
    return {"layer": spec.layer, "block": spec.block, "matrix": spec.name}[granularity] or spec.name


def _order(name: str) -> tuple[bool, bool, list[tuple[int, str]]]:
    """Encoder first, within a stack what lies outside its layers first, numbers by their value, names by the alphabet.

    Not the order of the network: searches that were recorded name and try units in this one.
    """
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in name.split(".")]
    return not name.startswith("encoder."), ".layers." in name, parts


def assignment(units: Iterable[Unit], mix: Mix) -> Assignment:
    """`mix` with the fewest patterns: the default is the precision of most units."""
    pairs = list(zip(units, mix, strict=True))
    default = Counter(mix).most_common(1)[0][0]
    return Assignment(default, {unit.pattern: precision for unit, precision in pairs if precision != default})
