"""What an exported artifact says of itself in its manifest's `details`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from lingolite_cli.artifact import ArtifactDetails

StoredKind: TypeAlias = Literal["float32", "float16", "int8"]
Rounding: TypeAlias = Literal["float32", "per-row symmetric", "per-row asymmetric"]


class LitertDetails(ArtifactDetails, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
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
