"""The exporter `coreml`: a bundle as packages that Core ML loads.

Owns the order of work and what is refused before it. The program is built from the weights, not traced.
"""

from __future__ import annotations

from pathlib import Path

import coremltools

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.bundle import Weights
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.functions import build_decode, build_encode
from lingolite_coreml.interface import DECODE, ENCODE, decode_interface, encode_interface
from lingolite_coreml.options import FORMAT, CoreMLExportOptions
from lingolite_coreml.package import write_package

_PACKAGE = "model.mlpackage"


class CoreMLExporter:
    """Writes `model.mlpackage`, or for iOS 16 `encode.mlpackage` and `decode.mlpackage`.

    Args:
        options: see `CoreMLExportOptions`.
    """

    def __init__(self, *, options: CoreMLExportOptions) -> None:
        self._options = options

    def export(self, source: Artifact, directory: Path) -> Product:
        """Export a bundle into `directory`.

        Raises:
            LingoLiteError: the target cannot carry the bundle.
        """
        options, positions = self._options, self._positions(source)
        weights = Weights.read(source)
        self._require_carried(weights)
        details = self._details(weights, positions)
        functions = {
            ENCODE: build_encode(weights, compute=options.compute, target=options.target, num_positions=positions),
            DECODE: build_decode(
                weights, compute=options.compute, target=options.target, cache=options.kept, num_positions=positions
            ),
        }
        licence = source.manifest.licence or ""
        summary = f"translation between {', '.join(source.manifest.languages)}"
        for package in dict.fromkeys(details.packages.values()):
            chosen = {
                details.function(name): function
                for name, function in functions.items()
                if details.packages[name] == package
            }
            write_package(directory / package, chosen, target=options.target, summary=summary, licence=licence)
        return Product(format=FORMAT, max_seq_len=positions, details=details.to_dict())

    def _details(self, weights: Weights, positions: int) -> CoreMLDetails:
        options, config = self._options, weights.config
        is_one = options.target == "ios18"
        has_integers = weights.has_int8 or weights.has_groups
        return CoreMLDetails(
            target=options.target,
            compute=options.compute,
            cache=options.kept,
            max_seq_len=positions,
            weights=weights.kind if has_integers or weights.kind == "float16" else options.compute,
            activations="weight-only" if has_integers else options.compute,
            packages={name: _PACKAGE if is_one else f"{name}.mlpackage" for name in (ENCODE, DECODE)},
            interface={
                ENCODE: encode_interface(config, compute=options.compute),
                DECODE: decode_interface(config, compute=options.compute, cache=options.kept, positions=positions),
            },
            coremltools_version=coremltools.__version__,
        )

    def _require_carried(self, weights: Weights) -> None:
        if self._options.target == "ios16" and weights.has_groups:
            raise LingoLiteError(
                "Core ML has no integers with scales by group before iOS 18, and this bundle has",
                hint="pass --option target=ios18, or quantize with dynamic-int8",
            )

    def _positions(self, source: Artifact) -> int:
        limit, wanted = source.manifest.model.max_seq_len, self._options.max_seq_len
        num_framing = source.manifest.tokenizer_description.frame.num_source_tokens
        if wanted is not None and not num_framing < wanted <= limit:
            raise LingoLiteError(
                f"cannot export max_seq_len {wanted}: the model has {limit} positions, and the frame around a source "
                f"takes {num_framing}",
                hint=f"pass --option max_seq_len=N with {num_framing + 1} to {limit}, or leave it out",
            )
        return wanted or limit
