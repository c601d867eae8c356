"""The quantizer `fp16`: weights stored in half precision (IEEE 754 binary16), rounded half to even."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lingolite_cli.artifact import BUNDLE, BUNDLE_FP16, Artifact, Product, Quantization
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.specs import NoOptions
from lingolite_quantizers.weights import read_weights, write_weights


class Fp16:
    """Stores every tensor of a bundle as float16."""

    def __init__(self, *, options: NoOptions) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the half-precision weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is no float32 bundle, or a weight does not fit into float16.
        """
        tensors = read_weights(source, accepts=(BUNDLE,))
        write_weights({name: _to_half(name, tensor) for name, tensor in tensors.items()}, directory)
        return Product(format=BUNDLE_FP16, quantization=Quantization("fp16"))


def _to_half(name: str, tensor: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        half = tensor.astype(np.float16)
    if not np.isfinite(half).all():
        largest = float(np.abs(tensor).max())
        raise LingoLiteError(
            f"`{name}` does not fit into float16: its largest magnitude is {largest:g}, the limit 65504",
            hint="quantize with dynamic-int8, which keeps scales in float32",
        )
    return half
