"""Core ML's part of the interface of coremltools over the interpreter, for systems that have no Core ML.

What is asked of it is what macOS is asked; programs are really computed, and what Core ML refuses is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lingolite_coreml.program.interpreter import Interpreter
from lingolite_coreml.program.reading import read_package


class State:
    """What `make_state` gives: arrays that a prediction changes."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self.arrays = arrays

    def read_state(self, name: str) -> Any:
        """A copy of an array."""
        return self.arrays[name].copy()

    def write_state(self, name: str, value: Any) -> None:
        """In the place of an array of the same shape."""
        assert self.arrays[name].shape == value.shape
        self.arrays[name] = value


class MLModel:
    """A function of a package."""

    def __init__(self, model: str, *, compute_units: Any, function_name: str | None = None) -> None:
        functions = read_package(Path(model))
        assert (function_name is None) == (set(functions) == {"main"}), "a package of one function takes no name"
        self._interpreter = Interpreter(functions[function_name or "main"])

    def make_state(self) -> State:
        """Zeros."""
        assert self._interpreter.function.states, "the function has no states"
        return State(self._interpreter.states())

    def predict(self, data: dict[str, Any], state: State | None = None) -> dict[str, Any]:
        """The outputs."""
        function = self._interpreter.function
        assert {name: array.dtype for name, array in data.items()} == function.inputs
        assert (state is not None) == bool(function.states)
        found = self._interpreter.run(data, state.arrays if state is not None else {})
        return {name: np.asarray(found[name]) for name in function.outputs}
