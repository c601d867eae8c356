"""The tensors of a network: their names, shapes and roles, and which of them share a matrix or an input.

All follows from a recording of the network (`lingolite_cli.architecture.recording`); names are given in
`lingolite_cli.architecture.parts`. Values are `lingolite_cli.weights`'s. Imports neither torch nor numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import Layer, Role, Stack, tied_layers
from lingolite_cli.architecture.recording import record

TensorRole: TypeAlias = Role | Literal["bias"]

_UNQUANTIZED: frozenset[TensorRole] = frozenset({"norm", "bias", "positions", "relative bias"})
"""Norms, biases and tables of positions have few numbers, and every activation meets them: they stay in float."""


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor of a float bundle.

    Attributes:
        name: of its layer.
        key: name in a bundle.
        shape: [out, in] of a matrix, [rows, width] of a table, [width] of the gains of a norm or of a bias.
        role: what it is for.
        layer: name of the encoder or decoder layer that it lies in; None outside of these.
        block: name of the attention, recurrence or feed-forward network that it lies in; None for the others.
    """

    name: str
    key: str
    shape: tuple[int, ...]
    role: TensorRole
    layer: str | None = None
    block: str | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether it is quantized."""
        return self.role not in _UNQUANTIZED

    @property
    def has_vocabulary(self) -> bool:
        """Whether it is a matrix with a row for each token: an embedding or the output projection."""
        return self.role in ("embedding", "output projection")


@lru_cache(maxsize=64)
def tensor_specs(architecture: Architecture) -> tuple[TensorSpec, ...]:
    """The tensors of a float bundle in the order of the network's state dict; a tied embedding counts once."""
    tied = tied_layers(architecture)
    return tuple(
        spec
        for layer in network_layers(architecture)
        for spec in _tensors_of(layer)
        if spec.role == "bias" or spec.name not in tied
    )


@lru_cache(maxsize=64)
def network_layers(architecture: Architecture) -> tuple[Layer, ...]:
    """The layers with parameters in the order of the network's state dict; a tied one as well."""
    recorded = record(architecture).layers
    # Blocks in the order in which they end: keys and values of the source are computed before everything else.
    ends = {layer.block: place for place, layer in enumerate(recorded)}
    roles = {role: place for place, role in enumerate(get_args(Role))}

    def place(layer: Layer) -> tuple[bool, int, bool, int, int]:
        stack, kind, number = [*layer.name.split("."), "", ""][:3]
        inside = int(number) if kind == "layers" else _OUTSIDE.get(layer.role, -1)
        in_block = ends[layer.block] if layer.block is not None else -1
        return stack != "encoder", inside, layer.role == "norm", in_block, roles[layer.role]

    return tuple(sorted(recorded, key=place))


_OUTSIDE: dict[Role, int] = {"norm": 1 << 30, "output projection": 1 << 31}
"""Of layers that lie outside the layers of their stack: those that come after them."""


def _tensors_of(layer: Layer) -> list[TensorSpec]:
    def spec(key: str, shape: tuple[int, ...], role: TensorRole) -> TensorSpec:
        return TensorSpec(name=layer.name, key=key, shape=shape, role=role, layer=layer.layer, block=layer.block)

    weight = spec(layer.weight, layer.shape, layer.role)
    return [weight, spec(layer.bias, layer.shape[:1], "bias")] if layer.has_bias else [weight]


def tensor_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Shape by the name in a float bundle."""
    return {spec.key: spec.shape for spec in tensor_specs(architecture)}


def matrix_keys(architecture: Architecture) -> tuple[str, ...]:
    """Names in a bundle of the tensors that are quantized."""
    return tuple(spec.key for spec in tensor_specs(architecture) if spec.is_matrix)


def vocabulary_keys(architecture: Architecture) -> tuple[str, ...]:
    """Names in a bundle of the embeddings and, where it is not tied to one, the output projection."""
    return tuple(spec.key for spec in tensor_specs(architecture) if spec.has_vocabulary)


def shared_inputs(architecture: Architecture) -> list[tuple[str, ...]]:
    """The linear layers of a network, those together that read the same input; every one is in one group."""
    # Whoever observes or joins inputs does so once a group: the members read the very same tensor.
    return [tuple(layer.name for layer in group) for group in record(architecture).groups]


def reads_source(architecture: Architecture, name: str) -> bool:
    """Whether the linear layer `name` reads a row for each source token, and not for each target token."""
    if name in (known := record(architecture).operations):
        return known[name].reads_source
    return False  # the output projection, whose operation has another name


def count_layers(keys: Iterable[str], stack: Stack) -> int:
    """How many layers of a stack the tensors `keys` are of."""
    # Distinct numbers, not the largest: a file that lacks a layer in the middle must not pass for a deeper one.
    found = (re.match(rf"{stack}\.layers\.(\d+)\.", key) for key in keys)
    return len({match.group(1) for match in found if match})
