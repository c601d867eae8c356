"""Linear and embedding layers with int8 weights, and activations quantized dynamically or over a calibrated range.

Owns the int8 arithmetic in PyTorch. Activations are rounded by the rule of `lingolite_cli.weights.activations`; the
weights are the integers of `lingolite_cli.weights.rows`; sums of products are exact. N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import cache

import torch
from torch import Tensor, nn

from lingolite_cli.model.emitter import OrderSensitive
from lingolite_cli.weights.activations import MIDDLE, SMALLEST_MAXIMUM, UINT8_MAX
from lingolite_cli.weights.ranges import INPUT_SCALE_SUFFIX
from lingolite_cli.weights.rows import INT8_MAX, SCALE_SUFFIX

# float32 holds integers up to 2^24, so sums of so many products of int8 are exact.
_EXACT_COLUMNS = 2**24 // (MIDDLE * INT8_MAX)


class Int8Linear(nn.Module):
    """`x Wᵀ + bias` with `W = weight · weight_scale`.

    Attributes:
        weight: [out, in] int8.
        weight_scale: [out, 1] float32.
        bias: [out] float32, or None.
    """

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, *, has_bias: bool = False) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("weight_scale", torch.ones(out_features, 1))
        self.register_buffer("bias", torch.zeros(out_features) if has_bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] float32 to [..., out] float32."""
        rows = x.reshape(-1, x.size(-1))
        # Rows of a batch are rounded one by one, so a sentence never depends on its batch-mates.
        integers, scale = quantize_activations(rows)
        product = integer_product(integers, self.weight).float()
        return self._biased(product.mul_(scale).mul_(self.weight_scale.t())).view(*x.shape[:-1], -1)

    def _biased(self, product: Tensor) -> Tensor:
        return product if self.bias is None else product.add_(self.bias)


class StaticInt8Linear(Int8Linear):
    """`x Wᵀ` with x in integers over a range that was calibrated.

    `y = sums · (input_scale · weight_scale)` over exact sums of `(q − input_zero_point) · weight`: the float operations
    of ONNX Runtime's `MatMulIntegerToFloat`, in its order.

    Attributes:
        input_scale: [1] float32.
        input_zero_point: [1] uint8.
    """

    input_scale: Tensor
    input_zero_point: Tensor

    def __init__(self, in_features: int, out_features: int, *, has_bias: bool = False) -> None:
        super().__init__(in_features, out_features, has_bias=has_bias)
        self.register_buffer("input_scale", torch.ones(1))
        self.register_buffer("input_zero_point", torch.full((1,), MIDDLE, dtype=torch.uint8))
        self._constants: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] float32 to [..., out] float32."""
        rows = x.reshape(-1, x.size(-1))
        offset, multiplier = self._folded()
        # By 128 less than the uint8 of the bundle, so that both factors are int8; `offset` makes up for it.
        shift = float(int(self.input_zero_point) - MIDDLE)
        integers = (rows / self.input_scale).round_().add_(shift).clamp_(-MIDDLE, UINT8_MAX - MIDDLE).to(torch.int8)
        sums = integer_product(integers, self.weight) + offset
        return self._biased(sums.float().mul_(multiplier)).view(*x.shape[:-1], -1)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """[out] int32 to add to the sums, and [out] float32 to multiply them by; made once a device."""
        if self._constants is None or self._constants[0].device != self.weight.device:
            distance = MIDDLE - int(self.input_zero_point)
            offset = self.weight.sum(dim=1, dtype=torch.int32) * distance
            self._constants = (offset, self.input_scale * self.weight_scale[:, 0])
        return self._constants


class Int8Embedding(nn.Module):
    """Rows of a quantized matrix, as floats.

    Attributes:
        weight: [V, d_model] int8.
        weight_scale: [V, 1] float32.
    """

    weight: Tensor
    weight_scale: Tensor

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_embeddings, embedding_dim, dtype=torch.int8))
        self.register_buffer("weight_scale", torch.ones(num_embeddings, 1))

    def forward(self, ids: Tensor) -> Tensor:
        """[...] int64 to [..., d_model] float32."""
        return self.weight[ids].float() * self.weight_scale[ids]


def quantize_activations(rows: Tensor) -> tuple[Tensor, Tensor]:
    """As `lingolite_cli.weights.activations.quantize_dynamic`: [N, in] float32 to integers [N, in] int8 and scales
    [N, 1] float32."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_min_(SMALLEST_MAXIMUM).div_(INT8_MAX)
    return (rows / scale).round_().to(torch.int8), scale


def integer_product(integers: Tensor, weight: Tensor) -> Tensor:
    """Exact `integers weightᵀ`: [N, in] int8 and [out, in] int8 to [N, out] int32."""
    if weight.device.type == "cpu" and is_int_mm_exact():
        return torch._int_mm(integers, weight.t())
    # Slower, and the same integers: nothing of a translation may depend on the CPU.
    return float_product(integers, weight)


def float_product(integers: Tensor, weight: Tensor) -> Tensor:
    """As `integer_product`, on any device: exact float32 sums over blocks of columns, added as int32."""
    blocks = zip(*(torch.split(matrix, _EXACT_COLUMNS, dim=1) for matrix in (integers, weight)), strict=True)
    sums = [(block.float() @ columns.float().t()).to(torch.int32) for block, columns in blocks]
    return torch.stack(sums).sum(dim=0, dtype=torch.int32)


@cache
def is_int_mm_exact() -> bool:
    """Whether `torch._int_mm` sums exactly on this CPU.

    Kernels for x86 without VNNI may add pairs of products in 16 bits, which the largest values overflow. PyTorch
    2.13 is exact there (AVX2, emulated), but documents no such promise.
    """
    for num_rows in (1, 5, 32):
        for row, column in ((127, 127), (127, -127), (-128, 127), (-128, -127)):
            integers = torch.full((num_rows, 512), row, dtype=torch.int8)
            weight = torch.full((64, 512), column, dtype=torch.int8)
            if not bool((torch._int_mm(integers, weight.t()) == row * column * 512).all()):
                return False
    return True


def install_int8_layers(model: nn.Module, tensor_names: Iterable[str]) -> None:
    """Replace each Linear or Embedding of which `tensor_names` has a `weight_scale` by its int8 kind, unfilled.

    A Linear that has an `input_scale` besides becomes a static one.

    What lies between integer products is computed in float64 from then on, so that the same integers come out on
    every runtime, in every batch.
    """
    names = set(tensor_names)
    suffix = ".weight" + SCALE_SUFFIX
    quantized = {name.removesuffix(suffix) for name in names if name.endswith(suffix)}
    static = {name for name in quantized if name + INPUT_SCALE_SUFFIX in names}
    replace_layers(model, static, _static_kind)
    replace_layers(model, quantized - static, _int8_kind)
    if quantized:
        set_compute_dtype(model, torch.float64)


def replace_layers(model: nn.Module, names: Container[str], make: Callable[[nn.Module], nn.Module]) -> None:
    """Put what `make` gives for it into the place of each layer of `names`; a layer of two names stays one."""
    replaced: dict[nn.Module, nn.Module] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        # A tied matrix is one module under several names, and must stay one, or it would be stored twice.
        if name in names:
            if module not in replaced:
                replaced[module] = make(module)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, replaced[module])


def set_compute_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Let every `OrderSensitive` layer of a model compute in `dtype`."""
    for module in model.modules():
        if isinstance(module, OrderSensitive):
            module.compute_dtype = dtype


def _int8_kind(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Embedding):
        return Int8Embedding(module.num_embeddings, module.embedding_dim)
    assert isinstance(module, nn.Linear)
    return Int8Linear(module.in_features, module.out_features, has_bias=module.bias is not None)


def _static_kind(module: nn.Module) -> nn.Module:
    assert isinstance(module, nn.Linear)
    return StaticInt8Linear(module.in_features, module.out_features, has_bias=module.bias is not None)
