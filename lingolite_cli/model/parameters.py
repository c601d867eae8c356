"""The tensors of a model: taken out of the network, and put into it.

Owns the agreement between the tensors of a bundle and the network, with its int8 layers. Names and shapes are
`lingolite_cli.architecture.tensors`'s; files are `lingolite_cli.weights.bundle`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import WEIGHT_SUFFIX, tied_layers
from lingolite_cli.architecture.tensors import matrix_keys, shared_inputs, tensor_shapes
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.half import is_stored_half
from lingolite_cli.model.int8 import install_int8_layers
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.bundle import check_shapes
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX, require_usable_ranges
from lingolite_cli.weights.rows import SCALE_SUFFIX


def bundle_tensors(model: MobileTranslationModel) -> dict[str, Tensor]:
    """A float model's tensors under the names of a bundle: float32, on the CPU, a tied embedding once.

    Raises:
        LingoLiteError: the model is quantized.
    """
    check_float(model)
    state = model.state_dict()
    return {name: state[name].detach().to("cpu", torch.float32).contiguous() for name in tensor_shapes(model.config)}


def stored_tensors(model: MobileTranslationModel) -> dict[str, Tensor]:
    """As `bundle_tensors`, and for a quantized model its integers and scales, or its float16 weights."""
    copies = tuple(layer + WEIGHT_SUFFIX for layer in tied_layers(model.config))
    tensors = {
        name: tensor.detach().cpu() for name, tensor in model.state_dict().items() if not name.startswith(copies)
    }
    keeps_half = is_stored_half(model)
    return {
        name: (tensor if keeps_half or not tensor.is_floating_point() else tensor.float()).contiguous()
        for name, tensor in tensors.items()
    }


def check_float(model: MobileTranslationModel) -> None:
    """Refuse a quantized model.

    Raises:
        LingoLiteError: naming one of its quantized tensors.
    """
    state = model.state_dict()
    quantized = [name for name in tensor_shapes(model.config) if not state[name].is_floating_point()]
    if quantized:
        raise LingoLiteError(
            f"the model's weights are already quantized, such as `{quantized[0]}`",
            hint="start from the float model that it was made from",
        )


def model_from_tensors(config: Architecture, tensors: Mapping[str, Tensor], *, where: str) -> MobileTranslationModel:
    """A model in eval mode that holds these tensors.

    A matrix with a `…_scale` beside it becomes an int8 layer, any other a float one.

    Args:
        config: the model's sizes.
        tensors: names and tensors of a bundle, float32 or int8.
        where: what to call their origin in errors.

    Raises:
        LingoLiteError: tensors are missing, unexpected, mis-shaped or of another type.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_shapes(shapes, _shapes_with_scales(config, tensors), where=where)
    _check_types(tensors, where=where)
    ranges = {
        name.removesuffix(INPUT_SCALE_SUFFIX): InputRange(
            tensor.item(), int(tensors[name.removesuffix(INPUT_SCALE_SUFFIX) + INPUT_ZERO_POINT_SUFFIX].item())
        )
        for name, tensor in tensors.items()
        if name.endswith(INPUT_SCALE_SUFFIX)
    }
    if ranges:
        require_usable_ranges(config, ranges, quantized=ranges)
    model = _skeleton(config)
    state = dict(tensors)
    # `assign` puts in the very tensors that are given, so that tied names share one memory from the start.
    for layer, owner in tied_layers(config).items():
        for suffix in (WEIGHT_SUFFIX, WEIGHT_SUFFIX + SCALE_SUFFIX):
            if owner + suffix in tensors:
                state[layer + suffix] = tensors[owner + suffix]
    with torch.device("meta"):
        install_int8_layers(model, state)
    model.load_state_dict(state, assign=True)
    model.tie_weights()
    return model.eval()


def _skeleton(config: Architecture) -> MobileTranslationModel:
    """The network without storage for its weights."""
    with torch.device("meta"):
        return MobileTranslationModel.from_config(config)


def _shapes_with_scales(config: Architecture, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    shapes = tensor_shapes(config)
    scales = {
        name + SCALE_SUFFIX: (shapes[name][0], 1) for name in matrix_keys(config) if name + SCALE_SUFFIX in tensors
    }
    return shapes | scales | _input_range_shapes(config, tensors)


def _input_range_shapes(config: Architecture, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Of the calibrated ranges: one for the input of each int8 Linear, or none at all."""
    suffixes = (INPUT_SCALE_SUFFIX, INPUT_ZERO_POINT_SUFFIX)
    if not any(name.endswith(suffixes) for name in tensors):
        return {}
    tied = tied_layers(config)
    linears = [name for group in shared_inputs(config) for name in group]
    quantized = [name for name in linears if tied.get(name, name) + WEIGHT_SUFFIX + SCALE_SUFFIX in tensors]
    return {name + suffix: (1,) for name in quantized for suffix in suffixes}


def _check_types(tensors: Mapping[str, Tensor], *, where: str) -> None:
    for name, tensor in tensors.items():
        expected = torch.int8 if name + SCALE_SUFFIX in tensors else torch.float32
        if name.endswith(INPUT_ZERO_POINT_SUFFIX):
            expected = torch.uint8
        if tensor.dtype != expected:
            raise LingoLiteError(f"`{name}` of {where} is {tensor.dtype}, not {expected}", hint="make the bundle again")
