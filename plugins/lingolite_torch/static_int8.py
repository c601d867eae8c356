"""The quantizer `static-int8`: int8 weights by row, and activations over ranges calibrated while the model translates.

Owns the way from one artifact to another. The method is `lingolite_cli.model.static_quantization`'s.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_STATIC_INT8, Artifact, Product, Quantization
from lingolite_cli.model import load_model
from lingolite_cli.model.calibration import CalibrationRun
from lingolite_cli.model.static_quantization import SCHEME, float_copy, static_tensors
from lingolite_cli.plugins.quantizers import Calibration
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import require_format, write_tensors
from lingolite_cli.weights.options import StaticInt8Options


class StaticInt8:
    """Quantizes every matrix of a bundle, and says for each linear layer what its 256 input levels stand for."""

    def __init__(self, *, options: StaticInt8Options) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path, *, calibration: Calibration) -> Product:
        """Write the int8 weights and the calibrated ranges of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float bundle, or a weight or an activation is infinite or not a number.
        """
        require_format(source, (BUNDLE, BUNDLE_FP16, BUNDLE_BF16))
        torch.set_num_threads(calibration.threads)
        run = CalibrationRun(
            float_copy(load_model(source)),
            calibration.sources[: self.options.max_samples],
            tokenizer=open_tokenizer(source),
            languages=calibration.languages,
            track=calibration.track,
        )
        tensors = static_tensors(run, options=self.options)
        write_tensors({name: tensor.numpy() for name, tensor in tensors.items()}, directory)
        num_samples = min(len(calibration.sources), self.options.max_samples)
        details = {"num_samples": num_samples, "languages": list(calibration.languages)}
        return Product(format=BUNDLE_STATIC_INT8, quantization=Quantization(SCHEME), details={"calibration": details})
