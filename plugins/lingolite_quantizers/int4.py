"""The quantizer `int4`: 4-bit weights by groups; activations and arithmetic stay in float32.

The integers are those of `lingolite_cli.weights.groups`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lingolite_cli.architecture.tensors import matrix_keys, vocabulary_keys
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, Artifact, Product, Quantization
from lingolite_cli.weights.bundle import read_tensors, require_format, write_tensors
from lingolite_quantizers.groups import round_by_groups
from lingolite_quantizers.options import Int4Options


class Int4:
    """Quantizes every matrix of a bundle to 4 bits, the embeddings to 4 or 8; norms stay in float32."""

    def __init__(self, *, options: Int4Options) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the packed weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float bundle, the group size does not divide the rows of a matrix, or a
                weight is infinite or not a number.
        """
        require_format(source, (BUNDLE, BUNDLE_FP16, BUNDLE_BF16))
        tensors = read_tensors(source)
        int8_tensors = vocabulary_keys(source.manifest.model) if self.options.embedding_bits == 8 else ()
        stored: dict[str, npt.NDArray[Any]] = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        for name in matrix_keys(source.manifest.model):
            bits = 8 if name in int8_tensors else 4
            stored |= round_by_groups(name, stored[name], bits=bits, options=self.options).tensors(name)
        write_tensors(stored, directory)
        return Product(format=BUNDLE_INT4, quantization=Quantization("int4", int8_tensors=int8_tensors))
