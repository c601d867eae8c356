"""The quantizer `dynamic-int8`: int8 weights by row, activations quantized while the model runs.

The integers are those of `lingolite_cli.weights.rows`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT8, Artifact, Product, Quantization
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.weights.bundle import read_tensors, require_format, write_tensors
from lingolite_cli.weights.rows import quantize_tensors


class DynamicInt8:
    """Quantizes every matrix of a bundle, the tied embedding included; norms stay in float32."""

    def __init__(self, *, options: NoOptions) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the int8 weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float bundle, or a weight is infinite or not a number.
        """
        require_format(source, (BUNDLE, BUNDLE_FP16, BUNDLE_BF16))
        tensors = read_tensors(source)
        floats = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        write_tensors(quantize_tensors(floats, matrix_keys(source.manifest.model)), directory)
        return Product(format=BUNDLE_INT8, quantization=Quantization("dynamic-int8"))
