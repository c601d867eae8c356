"""What computes a function: numpy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_coreml.program.interpreter import Interpreter
from lingolite_coreml.program.reading import read_package
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


def open_reference() -> OpenEngine:
    """Opens functions for the interpreter; each package is read once."""
    read = cache(read_package)

    def open_engine(package: Path, function: str) -> ReferenceEngine:
        functions = read(package)
        if function not in functions:
            raise LingoLiteError(f"{package} has no function `{function}`", hint="export the bundle again")
        return ReferenceEngine(Interpreter(functions[function]))

    return open_engine
