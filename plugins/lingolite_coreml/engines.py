"""What computes a function: numpy, or Core ML, which is on macOS only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import coremltools

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.interface import MAIN, FunctionInterface
from lingolite_coreml.options import CoreMLBackendOptions
from lingolite_coreml.program.interpreter import Interpreter
from lingolite_coreml.program.reading import ProgramFunction, read_package
from lingolite_coreml.runner import OpenEngine


class ReferenceEngine:
    """The interpreter of a function; see `lingolite_coreml.runner.Engine`."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter

    def run(self, inputs: Mapping[str, Array], states: dict[str, Array]) -> Mapping[str, Array]:
        """Every value of the function, the outputs among them."""
        return self.interpreter.run(inputs, states)

    def new_states(self) -> dict[str, Array]:
        """Zeros."""
        return self.interpreter.states()

    def copied(self, states: dict[str, Array]) -> dict[str, Array]:
        """The same arrays: the interpreter changes none."""
        return dict(states)


def open_reference(details: CoreMLDetails, architecture: Architecture) -> OpenEngine:
    """Opens functions for the interpreter; each package is read once."""
    read, interfaces = cache(read_package), details.interfaces(architecture)

    def open_engine(package: Path, name: str) -> ReferenceEngine:
        functions, function = read(package), details.function(name)
        if function not in functions:
            raise LingoLiteError(f"{package} has no function `{function}`", hint="export the bundle again")
        _require_interface(functions[function], interfaces[name], package)
        return ReferenceEngine(Interpreter(functions[function]))

    return open_engine


def _require_interface(function: ProgramFunction, interface: FunctionInterface, package: Path) -> None:
    """Refuse a program of another model or export than the manifest describes."""
    takes = {name: str(dtype) for name, dtype in function.inputs.items()}
    keeps = {name: (str(dtype), shape) for name, (dtype, shape) in function.states.items()}
    if (
        takes != {value.name: value.dtype for value in interface.inputs}
        or keeps != {value.name: (value.dtype, value.shape) for value in interface.states}
        or function.outputs != tuple(value.name for value in interface.outputs)
    ):
        raise LingoLiteError(
            f"{package} does not take and give what its manifest says", hint="it is of another export; export again"
        )


class CoreMLEngine:
    """A function in Core ML; see `lingolite_coreml.runner.Engine`."""

    def __init__(self, model: Any, states: tuple[str, ...]) -> None:
        self._model = model
        self._states = states

    def run(self, inputs: Mapping[str, Array], states: Any) -> Mapping[str, Array]:
        """The outputs, by name."""
        given = dict(inputs)
        found: Mapping[str, Array] = (
            self._model.predict(given) if states is None else self._model.predict(given, state=states)
        )
        return found

    def new_states(self) -> Any:
        """Zeros; None where the function has no states."""
        return self._model.make_state() if self._states else None

    def copied(self, states: Any) -> Any:
        """Other states of the same content."""
        copy = self.new_states()
        for name in self._states:
            copy.write_state(name, states.read_state(name))
        return copy


_COMPUTE_UNITS = {
    "all": coremltools.ComputeUnit.ALL,
    "cpu": coremltools.ComputeUnit.CPU_ONLY,
    "cpu-and-gpu": coremltools.ComputeUnit.CPU_AND_GPU,
    "cpu-and-neural-engine": coremltools.ComputeUnit.CPU_AND_NE,
}


def open_core_ml(options: CoreMLBackendOptions, details: CoreMLDetails, architecture: Architecture) -> OpenEngine:
    """Opens functions in Core ML."""
    interfaces = details.interfaces(architecture)

    def open_engine(package: Path, name: str) -> CoreMLEngine:
        function = details.function(name)
        model = coremltools.models.MLModel(
            str(package),
            compute_units=_COMPUTE_UNITS[options.compute_units],
            # A package of one function, which is all that iOS 16 has, takes no name.
            function_name=None if function == MAIN else function,
        )
        return CoreMLEngine(model, tuple(state.name for state in interfaces[name].states))

    return open_engine
