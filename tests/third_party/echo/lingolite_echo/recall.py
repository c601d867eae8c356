"""The quantizer: half-precision weights, and in its details what text it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import BUNDLE_FP16, WEIGHTS_NAME, Artifact, Product, Quantization
from lingolite_cli.plugins.quantizers import Calibration
from lingolite_cli.plugins.specs import NoOptions


class Recall:
    """Remembers its calibration text."""

    def __init__(self, *, options: NoOptions) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path, *, calibration: Calibration) -> Product:
        """Write the weights of `source` as float16."""
        tensors = {name: tensor.astype(np.float16) for name, tensor in load_file(source.weights_path).items()}
        save_file(tensors, directory / WEIGHTS_NAME)
        sources = list(calibration.track(calibration.sources, total=len(calibration.sources)))
        details = {"sources": sources, "languages": list(calibration.languages), "threads": calibration.threads}
        return Product(format=BUNDLE_FP16, quantization=Quantization("recall"), details=details)
