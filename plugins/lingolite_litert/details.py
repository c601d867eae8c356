"""What an exported artifact says of itself in its manifest's `details`."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError

StoredKind: TypeAlias = Literal["float32", "float16", "int8"]
Rounding: TypeAlias = Literal["float32", "per-row symmetric", "per-row asymmetric"]


class LitertDetails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The exporter's part of the manifest; holds no time and no path.

    Attributes:
        max_seq_len: positions that source and target may have.
        weights: the smallest dtype that matrices are stored in.
        activations: how activations meet int8 matrices where XNNPACK runs them.
        buckets: lengths of fixed shapes, each with its pair of signatures; none where shapes are dynamic.
        min_runtime_version: the oldest TensorFlow Lite that has all operators, as the file's metadata says.
        litert_version: of the package whose schema the file was written by.
    """

    max_seq_len: int
    weights: StoredKind
    activations: Rounding
    buckets: tuple[int, ...] = ()
    min_runtime_version: str
    litert_version: str

    @classmethod
    def of(cls, artifact: Artifact) -> LitertDetails:
        """The details of an artifact.

        Raises:
            LingoLiteError: another tool or version made it.
        """
        try:
            return msgspec.convert(artifact.manifest.details, cls)
        except msgspec.ValidationError as error:
            raise LingoLiteError(
                f"{artifact.path} was not made by this exporter: {error}", hint="export the bundle again"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """For `Product.details`."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins
