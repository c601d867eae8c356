"""The quantizer `qat-int8`: int8 weights by row that the model was trained with.

Fake quantization is `lingolite_cli.model.qat`'s, the training the host's.
"""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.artifact import BUNDLE_INT8, Artifact, Product
from lingolite_cli.model import convert_qat_model, prepare_model_for_qat
from lingolite_cli.model.parameters import stored_tensors
from lingolite_cli.plugins.quantizers import Training
from lingolite_cli.weights.bundle import write_tensors
from lingolite_quantizers.options import QatInt8Options


class QatInt8:
    """Fine-tunes a bundle with fake quantization, and writes the integers of its last forward."""

    def __init__(self, *, options: QatInt8Options) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path, *, training: Training) -> Product:
        """Train, and write the int8 weights into `directory`.

        Raises:
            LingoLiteError: as of any training.
        """
        qconfig = self.options.qconfig
        model = training(prepare=lambda model: prepare_model_for_qat(model, qconfig), convert=convert_qat_model)
        write_tensors({name: tensor.numpy() for name, tensor in stored_tensors(model).items()}, directory)
        return Product(format=BUNDLE_INT8, quantization=model.quantization)
