"""Linear and embedding layers with int8 weights and activations quantized as they come.

Owns the int8 arithmetic in torch: activations are quantized by row, so that no row of a batch depends on another;
the sums are exact; the weights are the integers of `lingolite_cli.quantization`. N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import cache

import torch
from torch import Tensor, nn

from lingolite_cli.model.layers import Inexact
from lingolite_cli.quantization import INT8_MAX, SCALE_SUFFIX

_SMALLEST_MAXIMUM = 1e-30  # below it a row of activations counts as zeros
# float32 holds integers up to 2^24, so sums of so many products of int8 are exact.
_EXACT_COLUMNS = 2**24 // INT8_MAX**2


class Int8Linear(nn.Module):
    """`x Wᵀ` with `W = weight · weight_scale`.

    Attributes:
        weight: [out, in] int8.
        weight_scale: [out, 1] float32.
    """

    weight: Tensor
    weight_scale: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(out_features, in_features, dtype=torch.int8))
        self.register_buffer("weight_scale", torch.ones(out_features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] float32 to [..., out] float32."""
        rows = x.reshape(-1, x.size(-1))
        integers, scale = quantize_activations(rows)
        product = integer_product(integers, self.weight).float()
        return (product.mul_(scale).mul_(self.weight_scale.t())).view(*x.shape[:-1], -1)


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
    """[N, in] float32 to integers [N, in] int8, rounded half to even, and scales [N, 1] float32."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_min_(_SMALLEST_MAXIMUM).div_(INT8_MAX)
    return (rows / scale).round_().to(torch.int8), scale


def integer_product(integers: Tensor, weight: Tensor) -> Tensor:
    """Exact `integers weightᵀ`: [N, in] int8 and [out, in] int8 to [N, out] int32."""
    if weight.device.type == "cpu" and is_int_mm_exact():
        return torch._int_mm(integers, weight.t())
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
        for row, column in ((127, 127), (127, -127), (-127, 127), (-127, -127)):
            integers = torch.full((num_rows, 512), row, dtype=torch.int8)
            weight = torch.full((64, 512), column, dtype=torch.int8)
            if not bool((torch._int_mm(integers, weight.t()) == row * column * 512).all()):
                return False
    return True


def install_int8_layers(model: nn.Module, tensor_names: Iterable[str]) -> None:
    """Replace each Linear or Embedding of which `tensor_names` has a `weight_scale` by its int8 kind, unfilled.

    What lies between integer products is computed in float64 from then on, so that the same integers come out on
    every runtime, in every batch.
    """
    suffix = ".weight" + SCALE_SUFFIX
    quantized = {name.removesuffix(suffix) for name in tensor_names if name.endswith(suffix)}
    replace_layers(model, quantized, _int8_kind)
    if quantized:
        set_compute_dtype(model, torch.float64)


def replace_layers(model: nn.Module, names: Container[str], make: Callable[[nn.Module], nn.Module]) -> None:
    """Put what `make` gives for it into the place of each layer of `names`; a layer of two names stays one."""
    replaced: dict[nn.Module, nn.Module] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if name in names:
            if module not in replaced:
                replaced[module] = make(module)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, replaced[module])


def set_compute_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Let every `Inexact` layer of a model compute in `dtype`."""
    for module in model.modules():
        if isinstance(module, Inexact):
            module.compute_dtype = dtype


def _int8_kind(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Embedding):
        return Int8Embedding(module.num_embeddings, module.embedding_dim)
    assert isinstance(module, nn.Linear)
    return Int8Linear(module.in_features, module.out_features)
