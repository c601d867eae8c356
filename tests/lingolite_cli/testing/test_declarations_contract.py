"""The contract of backends catches wrong declarations: other arithmetic than the engine's, traces of no file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from lingolite_onnx.backend import OnnxBackend

from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
from lingolite_cli.testing import BackendContract
from lingolite_cli.testing.routes import convert_with, converter, registry
from lingolite_cli.weights.bundle import Weights

LOGITS = "test_the_declared_arithmetic_gives_the_engines_logits"
VALUES = "test_traced_values_are_the_references_within_the_declared_rounding"
NAMES = "test_traces_have_known_names_and_no_more_than_was_asked_for"
LOCATES = "test_values_are_the_files_so_that_another_bundle_is_located"


class Right(OnnxBackend):
    """The backend `onnx` as it is."""


class ForgetsRounding(Right):
    @staticmethod
    def arithmetic(artifact, bundle, options):
        right = OnnxBackend.arithmetic(artifact, bundle, options)
        return msgspec.structs.replace(right, is_exact=False, kl_max=1e-12)


class IsTooLoose(Right):
    @staticmethod
    def arithmetic(artifact, bundle, options):
        return msgspec.structs.replace(OnnxBackend.arithmetic(artifact, bundle, options), rounding=0.9)


class ShowsScaledValues(Right):
    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        found = super().trace(tokens, bundle=bundle)
        return [
            msgspec.structs.replace(one, values={name: 2 * values for name, values in one.values.items()})
            for one in found
        ]


class InventsNames(Right):
    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        return [
            msgspec.structs.replace(one, values={f"my.{name}": values for name, values in one.values.items()})
            for one in super().trace(tokens, bundle=bundle)
        ]


class ComputesTheBundle(Right):
    """Shows what the bundle gives, whatever the file does."""

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> Sequence[Trace]:
        values: dict[str, Array] = {}

        def keep(name: str, array: Array) -> Array:
            values[name] = np.asarray(array, np.float32)
            return array

        reference = Reference(Weights.read(bundle), is_exact=True, observer=keep)
        reference.decode(tokens.target_ids, reference.encode(tokens.source_ids, tokens.source_mask), tokens.source_mask)
        return [Trace(part="all", values=values)]


class Declared(BackendContract):
    """The contract of one of the classes above, on int8 ONNX files."""

    plugin = "onnx"
    __test__ = False

    def __init__(self, made: type[OnnxBackend]) -> None:
        self._made = made

    def _arithmetic(self, artifact: Artifact, origin: Artifact) -> Arithmetic:
        return self._made.arithmetic(artifact, origin, self.loaded().options({}))


@pytest.fixture(scope="module")
def origin(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return convert_with(converter("dynamic-int8"), tiny, tmp_path_factory.mktemp("origin") / "int8")


@pytest.fixture(scope="module")
def file(origin: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return convert_with(converter("onnx"), origin, tmp_path_factory.mktemp("file") / "onnx")


@pytest.mark.parametrize(
    ("made", "test"),
    [
        (ForgetsRounding, LOGITS),
        (IsTooLoose, LOCATES),
        (ShowsScaledValues, VALUES),
        (InventsNames, NAMES),
        (InventsNames, VALUES),
        (ComputesTheBundle, LOCATES),
    ],
)
def test_a_wrong_declaration_fails(
    made: type[OnnxBackend], test: str, origin: Artifact, file: Artifact, tmp_path: Path
) -> None:
    options = registry().resolve("backend", "onnx").options({})
    extra = {"tmp_path": tmp_path / "wrong"} if test == LOCATES else {}
    with pytest.raises(AssertionError):
        _run(Declared(made), test, made(file, options=options, threads=1), file, origin, extra)
    right = {"tmp_path": tmp_path / "right"} if extra else {}
    _run(Declared(Right), test, Right(file, options=options, threads=1), file, origin, right)


def _run(
    contract: Declared, test: str, backend: OnnxBackend, file: Artifact, origin: Artifact, extra: dict[str, Path]
) -> None:
    for path in extra.values():
        path.mkdir(exist_ok=True)
    getattr(contract, test)(compared=backend, artifact=file, origin=origin, **extra)
    backend.close()
