"""What an exported artifact says of itself in its manifest's `details`. Cheap to import."""

from __future__ import annotations

from typing import Literal, TypeAlias

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.artifact import ArtifactDetails
from lingolite_coreml.interface import (
    DECODE,
    ENCODE,
    MAIN,
    FunctionInterface,
    Layout,
    decode_interface,
    encode_interface,
)
from lingolite_coreml.options import Cache, Compute, Shapes, Target

StoredKind: TypeAlias = Literal["float32", "float16", "bfloat16", "int8", "int4"]
Activations: TypeAlias = Literal["float32", "float16", "weight-only"]


class CoreMLDetails(ArtifactDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exporter's part of the manifest.

    Attributes:
        target: the oldest system that runs the program.
        compute: type of activations.
        cache: what the decoder keeps between calls, as states or in buffers.
        shapes: of sources, as long as these are, or padded to `max_seq_len`.
        max_seq_len: positions that source and target may have.
        weights: the smallest type that matrices are stored in.
        activations: how activations meet integers: these stand for floats, and activations are not rounded.
        packages: by function, the package that it is in.
        coremltools_version: of the package that wrote the program.
    """

    target: Target
    compute: Compute
    cache: Cache
    shapes: Shapes
    max_seq_len: int
    weights: StoredKind
    activations: Activations
    packages: dict[str, str]
    coremltools_version: str

    def function(self, name: str) -> str:
        """What a function is called in its package."""
        return name if self.target == "ios18" else MAIN

    def interfaces(self, architecture: Architecture) -> dict[str, FunctionInterface]:
        """By function, what it takes, gives and keeps."""
        return {
            ENCODE: encode_interface(architecture, self.layout),
            DECODE: decode_interface(architecture, self.layout),
        }

    @property
    def layout(self) -> Layout:
        """What the interfaces depend on besides the model."""
        return Layout(
            target=self.target,
            compute=self.compute,
            cache=self.cache,
            shapes=self.shapes,
            positions=self.max_seq_len,
        )
