"""The exporter `coreml`: a bundle as packages that Core ML loads.

Owns the order of work and what is refused before it. The program is built from the weights, not traced.
"""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.positions import exported_positions
from lingolite_cli.weights.bundle import Weights
from lingolite_coreml.engines import open_reference
from lingolite_coreml.options import FORMAT, CoreMLExportOptions
from lingolite_coreml.overflow import require_in_range
from lingolite_coreml.runner import Runner
from lingolite_coreml.writing import write_program


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
            LingoLiteError: the target cannot carry the bundle, or values of the program overflow.
        """
        positions = exported_positions(source, self._options.max_seq_len)
        weights = Weights.read(source)
        self._require_carried(weights)
        details = write_program(
            weights,
            directory,
            self._options,
            positions=positions,
            summary=f"translation between {', '.join(source.manifest.languages)}",
            licence=source.manifest.licence or "",
        )
        if self._options.compute == "float16" and self._options.test:
            runner = Runner(directory, weights.config, details, open_reference(details, weights.config))
            require_in_range(runner, source, next(iter(self._options.files()), None))
        return Product(format=FORMAT, max_seq_len=positions, details=details.to_dict())

    def _require_carried(self, weights: Weights) -> None:
        if self._options.target == "ios16" and weights.has_groups:
            raise LingoLiteError(
                "Core ML has no integers with scales by group before iOS 18, and this bundle has",
                hint="pass --option target=ios18, or quantize with dynamic-int8",
            )
