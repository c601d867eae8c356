"""The quantizer `fp16`: weights stored in half precision (IEEE 754 binary16), rounded half to even."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lingolite_cli.artifact import BUNDLE, BUNDLE_FP16, Artifact, Product, Quantization
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.weights.bundle import read_tensors, require_format, write_tensors
from lingolite_quantizers.storage import narrow

_HINT = "quantize with bf16, which has the range of float32, or with dynamic-int8, which keeps scales in float32"


class Fp16:
    """Stores every tensor of a bundle as float16."""

    def __init__(self, *, options: NoOptions) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the half-precision weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float32 bundle, or a weight does not fit into float16.
        """
        require_format(source, (BUNDLE,))
        tensors = read_tensors(source)
        halves = {name: narrow(name, tensor, np.float16, hint=_HINT) for name, tensor in tensors.items()}
        write_tensors(halves, directory)
        return Product(format=BUNDLE_FP16, quantization=Quantization("fp16"))
