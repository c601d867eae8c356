"""Layers whose weights are stored in half precision and computed with in float32.

Owns the float16 twins of Linear and Embedding. Products in float16 are several times as slow on CPUs, and the squares
of RMSNorm overflow there; so only the storage is halved.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.int8 import replace_layers


class HalfLinear(nn.Linear):
    """`x Wᵀ` with a float16 weight; x and the result are float32."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] float32 to [..., out] float32."""
        return F.linear(x, self.weight.float(), None if self.bias is None else self.bias.float())


class HalfEmbedding(nn.Embedding):
    """Looks up float16 rows as float32."""

    def forward(self, ids: Tensor) -> Tensor:
        """[...] int64 to [..., d_model] float32."""
        return F.embedding(ids, self.weight).float()


def store_half(model: nn.Module) -> None:
    """Round all parameters of a float model to float16, in place, and compute with them in float32.

    Raises:
        LingoLiteError: a weight does not fit into float16, or is infinite or not a number.
    """
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter.half()).all()):
            raise LingoLiteError(
                f"`{name}` does not fit into float16: its largest magnitude is {parameter.detach().abs().max():g}",
                hint="quantize to int8, which keeps scales in float32",
            )
    replace_layers(model, _matrices(model), _half_kind)
    for parameter in model.parameters():
        parameter.data = parameter.data.half()
        parameter.requires_grad_(False)


def is_stored_half(model: nn.Module) -> bool:
    """Whether `store_half` was applied to the model."""
    return any(isinstance(module, HalfLinear) for module in model.modules())


def _matrices(model: nn.Module) -> set[str]:
    """All names of layers whose weight is a matrix; a shared one has several."""
    modules = model.named_modules(remove_duplicate=False)
    return {name for name, module in modules if isinstance(module, nn.Linear | nn.Embedding)}


def _half_kind(module: nn.Module) -> nn.Module:
    with torch.device("meta"):
        if isinstance(module, nn.Embedding):
            made: nn.Module = HalfEmbedding(module.num_embeddings, module.embedding_dim)
        else:
            assert isinstance(module, nn.Linear)
            made = HalfLinear(module.in_features, module.out_features, bias=module.bias is not None)
            made.bias = module.bias
    made.weight = module.weight
    return made
