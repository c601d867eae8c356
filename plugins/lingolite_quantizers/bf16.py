"""The quantizer `bf16`: weights stored as bfloat16, the upper half of a float32, rounded half to even."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, Artifact, Product, Quantization
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.weights.bundle import read_tensors, require_format, write_tensors
from lingolite_quantizers.storage import narrow

_HINT = "the checkpoint is damaged or its training diverged; take an earlier one"


class Bf16:
    """Stores every tensor of a bundle as bfloat16: the range of float32, and 8 bits of precision."""

    def __init__(self, *, options: NoOptions) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the bfloat16 weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float32 bundle, or a weight is not finite.
        """
        require_format(source, (BUNDLE,))
        tensors = read_tensors(source)
        narrowed = {name: narrow(name, tensor, ml_dtypes.bfloat16, hint=_HINT) for name, tensor in tensors.items()}
        write_tensors(narrowed, directory)
        return Product(format=BUNDLE_BF16, quantization=Quantization("bf16"))
