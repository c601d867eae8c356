"""The layers that are not attention: norms, positions, and the modules of feed-forward networks and recurrent units.

Shapes: B batch, T positions, H heads, D head_dim.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.architecture import network, parts
from lingolite_cli.architecture.architecture import Architecture, Relative, Sinusoidal
from lingolite_cli.architecture.positions import decoder_buckets, encoder_buckets, sinusoidal_table
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model.emitter import OrderSensitive, TorchOperations, modules_of, rotate

_SMALLEST = 1e-5  # channels and columns below it are smoothed as if they were this large, not by huge factors
_EPSILON = Architecture().norm_epsilon


class RMSNorm(OrderSensitive):
    """`weight · x / sqrt(mean(x²) + eps)` (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)."""

    def __init__(self, d_model: int, epsilon: float = _EPSILON) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self._epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same."""
        weight = self.weight.to(self.compute_dtype)
        return F.rms_norm(x.to(self.compute_dtype), weight.shape, weight, self._epsilon).to(x.dtype)


class LayerNorm(OrderSensitive):
    """`weight · (x - mean(x)) / sqrt(var(x) + eps) + bias` (Ba et al. 2016, arXiv:1607.06450)."""

    def __init__(self, d_model: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self._epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same."""
        weight, bias = self.weight.to(self.compute_dtype), self.bias.to(self.compute_dtype)
        return F.layer_norm(x.to(self.compute_dtype), weight.shape, weight, bias, self._epsilon).to(x.dtype)


def linear(layer: parts.Layer) -> nn.Linear:
    """A matrix."""
    rows, columns = layer.shape
    return nn.Linear(columns, rows, bias=layer.has_bias)


class FeedForward(OrderSensitive):
    """A feed-forward network; without more arguments SwiGLU: `down(silu(gate(x)) · up(x))`, without biases (Shazeer
    2020, arXiv:2002.05202, eq. 6)."""

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        *,
        block: parts.FeedForward | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        self._architecture = architecture or Architecture(d_model=d_model, d_ff=d_ff, d_head=2)
        self._block = block or parts.encoder_layer(self._architecture, 0).feed_forward
        if self._block.gate is not None:
            self.gate_proj = linear(self._block.gate)
        self.up_proj = linear(self._block.up)
        self.down_proj = linear(self._block.down)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same."""
        operations = TorchOperations(modules_of(self, self._block.name), self._architecture.activation)
        output: Tensor = self.down_proj(network.feed_forward(operations, self._block, x))
        return output

    @property
    def can_be_smoothed(self) -> bool:
        """Whether what its last matrix reads is linear in the rows of `up_proj`, for factors above 0."""
        return self._block.gate is not None or self._architecture.activation == "relu"

    @torch.no_grad()
    def smooth(self, maxima: Tensor, *, strength: float) -> None:
        """Divide the inner channels by factors that their next matrix is multiplied by; the outputs stay the same.

        SmoothQuant (Xiao et al. 2023, arXiv:2211.10438, eq. 4) at the one place of a feed-forward network where
        channels can be scaled: the rows of `up`. Outliers among the inputs of `down` become smaller, and the columns of
        `down` that meet them larger.

        Args:
            maxima: [d_ff] float32, the largest magnitude seen of each inner channel.
            strength: α of the paper, above 0 and at most 1.
        """
        columns = self.down_proj.weight.abs().amax(dim=0)
        factors = maxima.clamp_min(_SMALLEST) ** strength / columns.clamp_min(_SMALLEST) ** (1 - strength)
        self.down_proj.weight.mul_(factors)
        self.up_proj.weight.div_(factors[:, None])
        if self.up_proj.bias is not None:
            self.up_proj.bias.div_(factors)


class RecurrentUnit(OrderSensitive):
    """The matrices of a simpler simple recurrent unit (Kim et al. 2019, https://aclanthology.org/D19-5632)."""

    def __init__(self, block: parts.Ssru) -> None:
        super().__init__()
        self.candidate_proj = linear(block.candidate)
        self.forget_proj = linear(block.forget)


class PositionTable(nn.Module):
    """A learned row for each position or each bucket of distances.

    Attributes:
        weight: as `layer` says.
    """

    def __init__(self, layer: parts.Layer) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(layer.shape))


class RotaryPositions(nn.Module):
    """Rotary position embedding (Su et al. 2021, arXiv:2104.09864, eq. 34).

    Half-split, as in GPT-NeoX and Llama: feature i is rotated with feature i + D/2, where the paper pairs
    neighbours. The tables are those of `lingolite_cli.architecture.rotary`, computed once for all positions.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, max_seq_len: int) -> None:
        super().__init__()
        # From numpy: a model that is built on the meta device still gets real tables.
        cos, sin = (torch.from_numpy(table) for table in rotary_tables(head_dim, max_seq_len))
        # Not persistent: checkpoints have no tables, and tables follow from the sizes.
        self.register_buffer("cos", torch.cat((cos, cos), dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat((-sin, sin), dim=-1), persistent=False)

    def tables(self, offset: int, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines [T, 1, D] of `length` positions from `offset` on.

        Raises:
            LingoLiteError: the last position lies outside the table.
        """
        end = offset + length
        if end > self.cos.size(0):
            raise LingoLiteError(
                f"position {end - 1} lies outside the model's max_seq_len {self.cos.size(0)}",
                hint="shorten the text or lower max_length",
            )
        return self.cos[offset:end].unsqueeze(1), self.sin[offset:end].unsqueeze(1)

    def forward(self, x: Tensor, offset: int) -> Tensor:
        """Rotate queries or keys [B, T, H, D], the first of the T columns at position `offset`."""
        return rotate(x, *self.tables(offset, x.size(1)))


class Positions(nn.Module):
    """What a stack knows of positions besides tables with parameters: those that follow from the architecture."""

    sinusoids: Tensor | None
    buckets: Tensor | None

    def __init__(self, architecture: Architecture, stack: parts.Stack) -> None:
        super().__init__()
        self._kind, length = architecture.positions, architecture.max_seq_len
        self._is_encoder = stack == "encoder"
        sinusoids, buckets = None, None
        if isinstance(self._kind, Sinusoidal):
            sinusoids = torch.from_numpy(sinusoidal_table(self._kind, length, architecture.d_model))
        if isinstance(self._kind, Relative):
            find = encoder_buckets if self._is_encoder else decoder_buckets
            buckets = torch.from_numpy(np.ascontiguousarray(find(self._kind, length)))
        self.register_buffer("sinusoids", sinusoids, persistent=False)
        self.register_buffer("buckets", buckets, persistent=False)

    def relative_bias(self, table: Tensor, past: int, length: int) -> Tensor:
        """[1, H, T, P + T] from a table [buckets, H], for `length` queries after `past` positions."""
        assert self.buckets is not None
        places = torch.arange(past + length, device=table.device)
        distances = places[None, :] - places[past:, None]
        rows = distances + len(self.buckets) // 2 if self._is_encoder else (-distances).clamp_min_(0)
        bias: Tensor = table[self.buckets[rows]].permute(2, 0, 1)[None]
        return bias
