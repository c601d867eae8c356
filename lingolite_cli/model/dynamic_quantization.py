"""Dynamic int8 quantization of a model in memory, for Python users.

The integers are those that the quantizer `dynamic-int8` writes into a bundle.
"""

from __future__ import annotations

import torch

from lingolite_cli.artifact import Quantization
from lingolite_cli.model.parameters import bundle_tensors, model_from_tensors
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.weights.rows import quantize_tensors


def apply_dynamic_quantization(model: MobileTranslationModel) -> MobileTranslationModel:
    """A new model with int8 weights in each Linear and in the embedding. The one passed in does not change.

    Args:
        model: a float model.

    Returns:
        A model in eval mode on the CPU, for inference only.

    Raises:
        LingoLiteError: the model is already quantized, or a weight is infinite or not a number.
    """
    floats = {name: tensor.numpy().copy() for name, tensor in bundle_tensors(model).items()}
    quantized = {name: torch.from_numpy(array) for name, array in quantize_tensors(floats).items()}
    made = model_from_tensors(model.config, quantized, where="the quantized model")
    made.quantization = Quantization("dynamic-int8")
    return made
