"""The exporter `litert`: a bundle as one `.tflite` file.

Owns the order of work and what the manifest says. The graphs are built from the weights, not traced or converted.
"""

from __future__ import annotations

from pathlib import Path

import ai_edge_litert
import msgspec

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.evaluation.described import value_differences
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from lingolite_litert.details import LitertDetails, Rounding, StoredKind
from lingolite_litert.graph import FileBuilder
from lingolite_litert.graphs import build_decoder, build_encoder
from lingolite_litert.interface import MODEL
from lingolite_litert.options import FORMAT, LitertExportOptions

_FLOAT_RUNTIME, _INT8_RUNTIME = "2.14.0", "2.18.0"
"""The oldest TensorFlow Lite that runs the graphs. Lookups in int8 tables with a scale a row came last."""


_BUCKETS = (32, 128)
"""Lengths of fixed shapes; the model's own is the last."""


class LitertExporter:
    """Writes `model.tflite`; equal bundles and options give equal bytes.

    Args:
        options: see `LitertExportOptions`.
    """

    def __init__(self, *, options: LitertExportOptions) -> None:
        self._options = options

    def export(self, source: Artifact, directory: Path) -> Product:
        """Export a bundle into `directory`.

        Raises:
            LingoLiteError: the format cannot carry the bundle.
        """
        open_tokenizer(source)  # a damaged one is refused here, and not when the file is first used
        weights = Weights.read(source)
        details = LitertDetails(
            max_seq_len=source.manifest.model.max_seq_len,
            weights=_stored_kind(weights),
            activations=self._rounding(weights),
            buckets=self._buckets(source.manifest.model.max_seq_len),
            min_runtime_version=_INT8_RUNTIME if weights.has_int8 else _FLOAT_RUNTIME,
            litert_version=ai_edge_litert.__version__,
        )
        (directory / MODEL).write_bytes(build_file(weights, details).serialized())
        return Product(format=FORMAT, details=details.to_dict())

    def _buckets(self, max_seq_len: int) -> tuple[int, ...]:
        if self._options.shapes == "dynamic":
            return ()
        return (*(size for size in _BUCKETS if size < max_seq_len), max_seq_len)

    def _rounding(self, weights: Weights) -> Rounding:
        if not weights.has_int8:
            return "float32"
        return "per-row symmetric" if self._options.activations == "symmetric" else "per-row asymmetric"


def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    """See `lingolite_cli.plugins.interfaces.DescribedBackend`: all is in the one file but the manifest's details."""
    found, weights = LitertDetails.of(artifact), Weights.read(bundle)
    is_rounded = weights.has_int8
    details = msgspec.structs.replace(
        found,
        max_seq_len=artifact.manifest.model.max_seq_len,
        weights=_stored_kind(weights),
        activations="float32" if not is_rounded else found.activations,
        min_runtime_version=_INT8_RUNTIME if is_rounded else _FLOAT_RUNTIME,
    )
    lines = value_differences("lingolite.json: details", details.to_dict(), found.to_dict())
    if is_rounded and found.activations == "float32":
        lines.append('lingolite.json: details: activations is "float32", and the weights are int8')
    return lines


def build_file(weights: Weights, details: LitertDetails) -> FileBuilder:
    """The graphs of a model.

    Args:
        weights: of the bundle.
        details: what the manifest says of the file.
    """
    file = FileBuilder(min_runtime_version=details.min_runtime_version)
    is_symmetric = details.activations == "per-row symmetric"
    # The decoder first: it runs once a token, and the first graph is the one whose tensors are reached without a copy.
    for bucket in details.buckets or (None,):
        for build in (build_decoder, build_encoder):
            build(file, weights, num_positions=details.max_seq_len, is_symmetric=is_symmetric, bucket=bucket)
    return file


def _stored_kind(weights: Weights) -> StoredKind:
    kind = weights.kind
    if kind == "int8" or kind == "float16":
        return kind
    return "float32"
