"""Dynamic quantization of a model in memory, for Python users: int8 weights, or float16 storage.

Owns the choice between the two. The integers are those that the quantizer `dynamic-int8` writes into a bundle, and the
half-precision weights those of `fp16`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.artifact import Quantization
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.half import store_half
from lingolite_cli.model.parameters import bundle_tensors, model_from_tensors
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.weights.rows import quantize_tensors


def apply_dynamic_quantization(
    model: MobileTranslationModel, dtype: torch.dtype = torch.qint8
) -> MobileTranslationModel:
    """A smaller copy of a model. The one passed in does not change.

    Args:
        model: a float model.
        dtype: `torch.qint8` makes int8 weights of each Linear and the embedding, and activations are quantized by row
            while the model runs; `torch.float16` stores all weights in half precision and computes in float32.

    Returns:
        A model in eval mode on the CPU, for inference only; `save_bundle` writes it.

    Raises:
        LingoLiteError: the model is already quantized, a weight is infinite or not a number or does not fit, or the
            dtype is another.
    """
    make = _DTYPES.get(dtype)
    if make is None:
        raise LingoLiteError(
            f"dynamic quantization to {dtype} is not supported", hint="pass torch.qint8 or torch.float16"
        )
    # A copy: the tensors of a float32 model on the CPU would otherwise be the model's own.
    tensors = {name: tensor.clone() for name, tensor in bundle_tensors(model).items()}
    return make(model, tensors)


def _int8(model: MobileTranslationModel, tensors: dict[str, Tensor]) -> MobileTranslationModel:
    floats = {name: tensor.numpy() for name, tensor in tensors.items()}
    arrays = quantize_tensors(floats, matrix_keys(model.config))
    quantized = {name: torch.from_numpy(array) for name, array in arrays.items()}
    made = model_from_tensors(model.config, quantized, where="the quantized model")
    made.quantization = Quantization("dynamic-int8")
    return made


def _float16(model: MobileTranslationModel, tensors: dict[str, Tensor]) -> MobileTranslationModel:
    made = model_from_tensors(model.config, tensors, where="the half-precision model")
    store_half(made)
    made.quantization = Quantization("fp16")
    return made


_DTYPES: dict[torch.dtype, Callable[[MobileTranslationModel, dict[str, Tensor]], MobileTranslationModel]] = {
    torch.qint8: _int8,
    torch.float16: _float16,
}
