"""A session over a copy of a graph whose named tensors are outputs as well.

Owns the edit of the copy and the shapes of what is read. Which tensor is which operation the builders of the graphs
say: they build the same graph again, without writing it. B batch, S source, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from lingolite_cli.arrays import Array
from lingolite_onnx.graph import NamedTensor, WeightFile, external_tensor
from lingolite_onnx.session.sessions import open_session


class NoWeightFile(WeightFile):
    """Takes weights and keeps none, for graphs that are built for the names of their tensors."""

    def __init__(self) -> None:
        """There is no file."""

    def tensor(self, name: str, array: Array) -> onnx.TensorProto:
        """An initializer of that dtype and shape, of no file's bytes."""
        return external_tensor(name, array, location="none", offset=0, length=array.nbytes)


class TracedSession:
    """Runs a graph as a session does, and keeps the values of named operations of the last run.

    Args:
        path: the graph's file.
        named: which of its tensors are values of operations.
        entries: further settings of the session.
        operations: those whose values are wanted, and nothing else is computed; None for all of them, and the graph's
            own outputs.

    Attributes:
        is_empty: the graph has no tensor that is wanted.
    """

    def __init__(
        self,
        path: Path,
        named: Sequence[NamedTensor],
        *,
        entries: Mapping[str, str],
        operations: Collection[str] | None = None,
    ) -> None:
        model = onnx.load(path, load_external_data=False)
        produced = {output for node in model.graph.node for output in node.output}
        # A changed graph may lack a tensor: its operation is then seen through those that follow.
        self._named = [
            one
            for one in named
            if one.name in produced and one.factor in (None, *produced) and _is_wanted(one, operations)
        ]
        self.is_empty = not self._named
        if operations is not None:
            _keep_only(model.graph, [name for one in self._named for name in _tensors(one)])
        self._own = [value.name for value in model.graph.output]
        added = [name for one in self._named for name in _tensors(one) if name not in self._own]
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(added)
        )
        self._inputs = {value.name for value in model.graph.input}
        self._session = open_session(
            model.SerializeToString(), threads=1, weights_directory=path.parent, entries=entries
        )
        self._found: dict[str, Array] = {}

    def run(self, names: None, arrays: Mapping[str, Array]) -> list[Array]:
        """The graph's own outputs, in its order."""
        fed = {name: array for name, array in arrays.items() if name in self._inputs}
        outputs = [value.name for value in self._session.get_outputs()]
        self._found = dict(zip(outputs, self._session.run(outputs, fed), strict=True))
        return [self._found[name] for name in self._own]

    def get_inputs(self) -> list[Any]:
        """The graph's inputs."""
        inputs: list[Any] = self._session.get_inputs()
        return inputs

    def get_outputs(self) -> list[Any]:
        """The graph's own outputs."""
        return [value for value in self._session.get_outputs() if value.name in self._own]

    def values(self, leading: tuple[int, int]) -> dict[str, Array]:
        """By operation, the values of the last run: [*leading, width] float32, or [B, positions, K·D] of a cache.

        A tensor whose size does not fit is left out, as one that is not there.
        """
        found: dict[str, Array] = {}
        for one in self._named:
            array = np.asarray(self._found[one.name], np.float32)
            if one.factor is not None:
                array = array * np.asarray(self._found[one.factor], np.float32)
            if one.layout == "rows":
                found.update(_rows(one, array, leading))
            elif array.ndim == 4:
                order = (0, 3, 1, 2) if one.layout == "keys" else (0, 2, 1, 3)
                turned = array.transpose(order)
                found[one.operations[0]] = turned.reshape(*turned.shape[:2], -1)
        return found


def _tensors(one: NamedTensor) -> tuple[str, ...]:
    return (one.name,) if one.factor is None else (one.name, one.factor)


def _is_wanted(one: NamedTensor, operations: Collection[str] | None) -> bool:
    return operations is None or any(name in operations for name in one.operations)


def _rows(one: NamedTensor, array: Array, leading: tuple[int, int]) -> dict[str, Array]:
    num_rows = leading[0] * leading[1]
    if not num_rows or array.size % num_rows:
        return {}
    rows = array.reshape(*leading, -1)
    if not one.widths:
        return {one.operations[0]: rows}
    if rows.shape[-1] != sum(one.widths):
        return {}
    return dict(zip(one.operations, np.split(rows, np.cumsum(one.widths)[:-1], axis=-1), strict=True))


def _keep_only(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    """Leave of a graph what computes `outputs`."""
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            needed.update(node.input)
    nodes = list(reversed(kept))
    inputs = [value for value in graph.input if value.name in needed]
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, values in (("node", nodes), ("input", inputs), ("initializer", initializers)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    graph.ClearField("output")
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(outputs))
