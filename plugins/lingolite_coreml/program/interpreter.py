"""Runs a function of a saved program in numpy.

Owns the order of work, states, and the rounding of what operations give. A value of float16 is held as the float32 that
it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_coreml.program.operations import MOVING, OPERATIONS, Arguments
from lingolite_coreml.program.reading import Node, ProgramFunction

_STATES = ("read_state", "write_state")


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, with what is known of its arguments before the function runs.

    Attributes:
        compute: None for an operation on a state.
        fixed: arguments that are constant.
        names: of the values of the other arguments; several for a parameter that takes a list.
        outputs: names of what it gives.
        dtypes: which these are rounded to; empty where nothing is computed and so nothing rounded.
    """

    compute: Callable[[Arguments], Array | tuple[Array, ...]] | None
    fixed: dict[str, Any]
    names: dict[str, tuple[str, ...]]
    outputs: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...]


class Interpreter:
    """One function, whose constant expressions are computed once.

    Args:
        function: of a program.

    Raises:
        LingoLiteError: it has an operation that is not known here.
    """

    def __init__(self, function: ProgramFunction) -> None:
        self.function = function
        unknown = {node.type for node in function.nodes} - OPERATIONS.keys() - set(_STATES)
        if unknown:
            raise LingoLiteError(
                f"the program has the operation `{sorted(unknown)[0]}`, which is not known here",
                hint="run it on macOS with the backend `coreml`, or export the bundle again",
            )
        constants = {name: _held(values) for name, values in function.constants.items()}
        self._steps: list[_Step] = []
        for node in function.nodes:
            step = _prepared(node, constants)
            if node.type.startswith("constexpr_"):
                _compute(step, constants, {})
            else:
                self._steps.append(step)

    def states(self) -> dict[str, Array]:
        """States before the first call: zeros."""
        return {name: np.zeros(shape, np.float32) for name, (_, shape) in self.function.states.items()}

    def gives(self, value: str) -> bool:
        """Whether an operation of the function gives a value of this name."""
        return any(value in step.outputs for step in self._steps)

    def run(
        self, inputs: Mapping[str, Array], states: dict[str, Array], *, wanted: Collection[str] | None = None
    ) -> dict[str, Array]:
        """Compute.

        Args:
            inputs: by name.
            states: by name; what the function writes is put in their places, and the arrays stay as they are.
            wanted: names of values, and nothing else is computed; None for the outputs and all on the way.

        Returns:
            The inputs and every value that was computed, by name; float32, int32 or bool.
        """
        values = {name: _held(array) for name, array in inputs.items()}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for step in self._steps if wanted is None else self._needed(wanted):
                _compute(step, values, states)
        return values

    def _needed(self, wanted: Collection[str]) -> list[_Step]:
        needed, kept = set(wanted), []
        for step in reversed(self._steps):
            if not needed.isdisjoint(step.outputs):
                kept.append(step)
                needed.update(name for names in step.names.values() for name in names)
        return kept[::-1]


def _prepared(node: Node, constants: Mapping[str, Array]) -> _Step:
    fixed: dict[str, Any] = {}
    names: dict[str, tuple[str, ...]] = {}
    for parameter, values in node.inputs.items():
        known = tuple(constants.get(value) if isinstance(value, str) else _held(value) for value in values)
        if all(value is not None for value in known):
            fixed[parameter] = known if parameter == _LIST else known[0]
        else:
            # A list may hold constants as well: these get names of their own among the values.
            names[parameter] = tuple(str(value) for value in values)
    return _Step(
        compute=OPERATIONS.get(node.type),
        fixed={**fixed, **{value: constants[value] for value in _constant_parts(names, constants)}},
        names=names,
        outputs=node.outputs,
        dtypes=() if node.type in MOVING else node.dtypes,
    )


_LIST = "values"
"""The parameter of `concat` that takes several values."""


def _constant_parts(names: Mapping[str, tuple[str, ...]], constants: Mapping[str, Array]) -> list[str]:
    return [name for parts in names.values() for name in parts if name in constants]


def _compute(step: _Step, values: dict[str, Array], states: dict[str, Array]) -> None:
    if step.compute is None:
        (state,) = step.names["input"]
        if "data" in step.names:
            states[state] = values[step.names["data"][0]]
        else:
            values[step.outputs[0]] = states[state]
        return
    given = dict(step.fixed)
    for parameter, names in step.names.items():
        found = tuple(values[name] if name in values else step.fixed[name] for name in names)
        given[parameter] = found if parameter == _LIST else found[0]
    try:
        result = step.compute(given)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise LingoLiteError(
            f"the program cannot compute {', '.join(step.outputs)}: {error}",
            hint="it is damaged, or not of this model; export the bundle again",
        ) from None
    parts = result if isinstance(result, tuple) else (result,)
    if step.dtypes:
        parts = tuple(_rounded(part, dtype) for part, dtype in zip(parts, step.dtypes, strict=True))
    values.update(zip(step.outputs, parts, strict=True))


def _held(values: Array) -> Array:
    """float16 as float32; everything else as it is."""
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    if dtype == np.float16:
        return np.asarray(values).astype(np.float16).astype(np.float32)
    return np.asarray(values).astype(dtype, copy=False)
