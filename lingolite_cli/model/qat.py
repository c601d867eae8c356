"""Quantization-aware training: a model that computes as its int8 twin will, and learns from it.

Owns fake quantization: the arithmetic of `lingolite_cli.model.int8` with the weights rounded anew in each forward, and
gradients as if nothing had been rounded (the straight-through estimator, Bengio et al. 2013, arXiv:1308.3432; for whole
networks Jacob et al. 2018, arXiv:1712.05877, section 3). No range clips anything, so no gradient is cut off. N rows.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.architecture.support import require_trainable
from lingolite_cli.artifact import Quantization
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.model.int8 import integer_product, quantize_activations, replace_layers, set_compute_dtype
from lingolite_cli.model.parameters import bundle_tensors, check_float, model_from_tensors
from lingolite_cli.model.translation_model import MobileTranslationModel
from lingolite_cli.weights.rows import INT8_MAX, SCALE_SUFFIX

Qconfig = Literal["fbgemm", "qnnpack"]
SCHEME = "qat-int8"


class WeightQuantizer(nn.Module):
    """Rounds a matrix to int8, symmetrically.

    Args:
        is_per_channel: one scale a row, and then exactly the integers of `lingolite_cli.weights.rows.quantize_rows`;
            otherwise one scale for the matrix.
    """

    def __init__(self, *, is_per_channel: bool) -> None:
        super().__init__()
        self.is_per_channel = is_per_channel

    @torch.no_grad()
    def forward(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """[out, in] float32 to integers [out, in] int8 in -127…127 and scales [out, 1] float32."""
        # The rule of `weights.rows` in PyTorch, bit for bit: what is trained with is what is shipped.
        largest = weight.abs().amax(dim=1, keepdim=True)
        if not self.is_per_channel:
            largest = largest.amax().repeat(len(weight), 1)
        scale = largest / torch.full_like(largest, INT8_MAX)  # by a number, GPUs multiply with its reciprocal
        scale.masked_fill_(scale == 0, 1.0)
        return (weight / scale).round_().clamp_(-INT8_MAX, INT8_MAX).to(torch.int8), scale


class FakeQuantizedLinear(nn.Linear):
    """A Linear that computes as `Int8Linear` does with its rounded weight; its weight stays float."""

    def __init__(
        self, in_features: int, out_features: int, *, quantizer: WeightQuantizer, has_bias: bool = False
    ) -> None:
        super().__init__(in_features, out_features, bias=has_bias)
        self.quantizer = quantizer

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out] float32."""
        integers, scale = self.quantizer(self.weight)
        product: Tensor = _Product.apply(x.reshape(-1, x.size(-1)), self.weight, integers, scale)  # type: ignore[no-untyped-call]
        biased = product if self.bias is None else product + self.bias
        return biased.view(*x.shape[:-1], -1)


class FakeQuantizedEmbedding(nn.Embedding):
    """An Embedding that looks up rows of its rounded weight; its weight stays float."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, quantizer: WeightQuantizer) -> None:
        super().__init__(num_embeddings, embedding_dim)
        self.quantizer = quantizer

    def forward(self, ids: Tensor) -> Tensor:
        """[...] int64 to [..., d_model] float32."""
        integers, scale = self.quantizer(self.weight)
        rounded: Tensor = _StraightThrough.apply(self.weight, integers.float() * scale)  # type: ignore[no-untyped-call]
        return F.embedding(ids, rounded)


class _StraightThrough(torch.autograd.Function):
    """What a tensor was rounded to; the gradient goes to the tensor as if it had not been."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rounded: Tensor) -> Tensor:
        return rounded

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None


class _Product(torch.autograd.Function):
    """`x Wᵀ` in the int8 arithmetic, exact in training too; gradients are those of the product of the rounded matrices.

    Under autocast the integers stay exact, and only the products of the gradients have its precision.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, integers: Tensor, scale: Tensor) -> Tensor:
        device = rows.device.type
        is_autocast = torch.is_autocast_enabled(device)
        ctx.compute_dtype = torch.get_autocast_dtype(device) if is_autocast else torch.float32
        ctx.dtype = rows.dtype
        with torch.autocast(device, enabled=False):
            row_integers, row_scale = quantize_activations(rows.float())
            product = integer_product(row_integers, integers).float()
        ctx.save_for_backward(row_integers, row_scale, integers, scale)
        return product.mul_(row_scale).mul_(scale.t())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        row_integers, row_scale, integers, scale = ctx.saved_tensors
        gradient = gradients[0].to(ctx.compute_dtype)
        rows = (row_integers * row_scale).to(ctx.compute_dtype)
        weight = (integers * scale).to(ctx.compute_dtype)
        return (gradient @ weight).to(ctx.dtype), (gradient.t() @ rows).float(), None, None


class QatModel(MobileTranslationModel):
    """A model in quantization-aware training.

    In eval mode it gives the very bits of the converted model; in training mode it computes in float32, not in float64,
    what lies between integer products.
    """

    def train(self, mode: bool = True) -> QatModel:
        """Switch modes, as of any module."""
        super().train(mode)
        has_float64 = next(self.parameters()).device.type != "mps"
        set_compute_dtype(self, torch.float64 if has_float64 and not mode else torch.float32)
        return self


def prepare_model_for_qat(model: MobileTranslationModel, qconfig: Qconfig = "fbgemm") -> QatModel:
    """A copy of a float model that trains with fake quantization. The one passed in does not change.

    Every Linear and the embedding round their weights in each forward, and each Linear its input by row, as int8
    backends do; a tied embedding has one set of integers for lookup and projection. Parameters keep their names, so
    that optimizers and checkpoints work as before.

    Args:
        model: with float weights, on any device.
        qconfig: `fbgemm` gives each row of a matrix a scale, `qnnpack` each matrix.

    Returns:
        a model in training mode on the same device; `convert_qat_model` makes the int8 model of it.

    Raises:
        LingoLiteError: the model is quantized or prepared already or cannot be trained, or the qconfig is
            unknown.
    """
    if qconfig not in get_args(Qconfig):
        raise LingoLiteError(f"unknown qconfig `{qconfig}`", hint=did_you_mean(qconfig, get_args(Qconfig)))
    if isinstance(model, QatModel):
        raise LingoLiteError("the model is prepared already", hint="train it, then call convert_qat_model")
    check_float(model)
    require_trainable(model.config, engine="quantization-aware training")
    state = {name: tensor.detach().float().clone() for name, tensor in model.state_dict().items()}
    quantizer = WeightQuantizer(is_per_channel=qconfig == "fbgemm")
    with torch.device("meta"):
        prepared = QatModel(**msgspec.structs.asdict(model.config))
        replace_layers(prepared, _matrices(prepared), lambda layer: _fake_quantized(layer, quantizer))
    prepared.load_state_dict(state, assign=True)
    prepared.tie_weights()
    prepared.to(next(model.parameters()).device)
    return prepared.train()


def convert_qat_model(model: MobileTranslationModel) -> MobileTranslationModel:
    """The int8 model that a prepared model was trained to be. The one passed in does not change.

    Args:
        model: from `prepare_model_for_qat`.

    Returns:
        a model in eval mode on the CPU, for inference only, with the integers of the last forward if no weight has
        changed since; `save_bundle` writes it.

    Raises:
        LingoLiteError: the model was not prepared, or a weight is infinite or not a number.
    """
    if not isinstance(model, QatModel):
        raise LingoLiteError("the model was not prepared for QAT", hint="train what prepare_model_for_qat returns")
    tensors = {name: tensor.clone() for name, tensor in bundle_tensors(model).items()}
    for name in _matrices(model):
        layer = model.get_submodule(name)
        assert isinstance(layer, FakeQuantizedLinear | FakeQuantizedEmbedding)
        key = f"{name}.weight"
        # Converted by the layer's own quantizer, not anew: the integers are those of the last forward.
        if key in tensors:  # a tied embedding has several names, and one of them here
            integers, scale = layer.quantizer(layer.weight)
            tensors |= {key: integers.cpu(), key + SCALE_SUFFIX: scale.cpu()}
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise LingoLiteError(f"`{name}` is infinite or not a number", hint="lower the learning rate")
    converted = model_from_tensors(model.config, tensors, where="the converted model")
    converted.quantization = Quantization(SCHEME)
    return converted


def _matrices(model: nn.Module) -> list[str]:
    """Names of all layers whose weight is a matrix."""
    modules = model.named_modules(remove_duplicate=False)
    return [name for name, module in modules if isinstance(module, nn.Linear | nn.Embedding)]


def _fake_quantized(layer: nn.Module, quantizer: WeightQuantizer) -> nn.Module:
    if isinstance(layer, nn.Embedding):
        return FakeQuantizedEmbedding(layer.num_embeddings, layer.embedding_dim, quantizer=quantizer)
    assert isinstance(layer, nn.Linear)
    return FakeQuantizedLinear(
        layer.in_features, layer.out_features, has_bias=layer.bias is not None, quantizer=quantizer
    )
