"""What a Core ML artifact says of itself: the same for every backend that runs it."""

from __future__ import annotations

from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_cli.artifact import Artifact
from lingolite_coreml.arithmetic import arithmetic_of
from lingolite_coreml.details import CoreMLDetails


class DescribedProgram:
    """The part of a backend that needs no engine."""

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: object) -> Arithmetic:
        """How the program computes; see `lingolite_cli.plugins.interfaces.DeclaredBackend`."""
        return arithmetic_of(CoreMLDetails.of(artifact))

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What files say otherwise than the bundle; see `lingolite_cli.plugins.interfaces.DescribedBackend`."""
        from lingolite_coreml.data import data_differences  # imports coremltools, which running does not need

        return data_differences(artifact, bundle)
