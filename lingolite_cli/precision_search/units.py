"""The parts of a model that get a precision each: single matrices, blocks or whole layers.

Owns how matrices are grouped, and how a mix of precisions is written as a quantizer's `default` and `layers`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError

Granularity: TypeAlias = Literal["layer", "block", "matrix"]
Mix: TypeAlias = tuple[str, ...]
"""The precision of each unit, in the order of the units."""

_DEPTH = {"layer": 3, "block": 4}
"""Parts of a name that stay together: `decoder.layers.1`, and `decoder.layers.1.cross_attn`."""
_HEADER_LIMIT = 100_000_000  # that of the safetensors format


class Unit(msgspec.Struct, frozen=True):
    """Matrices that share a precision.

    Attributes:
        name: such as `decoder.layers.1.ffn`.
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


def matrix_sizes(bundle: Artifact) -> dict[str, int]:
    """Name, without `.weight`, and number of elements of each matrix of a float bundle; reads the file's header alone.

    Raises:
        LingoLiteError: the weights are not a safetensors file.
    """
    try:
        with bundle.weights_path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, _HEADER_LIMIT)))
    except (OSError, ValueError) as error:
        raise LingoLiteError(
            f"cannot read the weights {bundle.weights_path}: {error}", hint="make the bundle again"
        ) from None
    shapes = {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
    return {name.removesuffix(".weight"): shape[0] * shape[1] for name, shape in shapes.items() if len(shape) == 2}


def units_of(matrices: Mapping[str, int], granularity: Granularity) -> list[Unit]:
    """Matrices grouped, in the order in which a sentence meets them: encoder before decoder, layers by number.

    Args:
        matrices: their sizes by name.
        granularity: `block` keeps self-attention, cross-attention and the feed-forward network apart; what lies
            outside the layers, such as the embedding, is a unit of its own in any case.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(matrices, key=_order):
        groups.setdefault(_unit_name(name, granularity), []).append(name)
    return [Unit(name, tuple(members), sum(matrices[member] for member in members)) for name, members in groups.items()]


def _unit_name(matrix: str, granularity: Granularity) -> str:
    parts = matrix.split(".")
    if granularity == "matrix" or parts[1:2] != ["layers"]:
        return matrix
    return ".".join(parts[: _DEPTH[granularity]])


def _order(name: str) -> tuple[bool, bool, list[tuple[int, str]]]:
    """Encoder first, within a stack what lies outside its layers first, numbers by their value."""
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in name.split(".")]
    return not name.startswith("encoder."), ".layers." in name, parts


def assignment(units: Iterable[Unit], mix: Mix) -> Assignment:
    """`mix` with as few patterns as there can be: the default is the precision of most units."""
    pairs = list(zip(units, mix, strict=True))
    default = Counter(mix).most_common(1)[0][0]
    return Assignment(default, {unit.pattern: precision for unit, precision in pairs if precision != default})
