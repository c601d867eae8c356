"""The layers that are not attention: RMSNorm, rotary positions and the SwiGLU feed-forward network.

Shapes: B batch, T positions, H heads, D head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lingolite_cli.architecture.architecture import NORM_EPSILON
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.errors import LingoLiteError

_SMALLEST = 1e-5  # channels and columns below it are smoothed as if they were this large, not by huge factors


class OrderSensitive(nn.Module):
    """A layer with float sums or transcendental functions: their last bits depend on the order and the library.

    Attributes:
        compute_dtype: float32; or float64, rounded to float32 at the end, which gives the same bits whatever the
            order. Between integer products that matters: a difference in the last bit of an activation can move it
            to the next integer, and with it a whole translation.
    """

    compute_dtype: torch.dtype = torch.float32


class RMSNorm(OrderSensitive):
    """`weight · x / sqrt(mean(x²) + eps)` (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same."""
        weight = self.weight.to(self.compute_dtype)
        return F.rms_norm(x.to(self.compute_dtype), weight.shape, weight, NORM_EPSILON).to(x.dtype)


class FeedForward(OrderSensitive):
    """SwiGLU: `down(silu(gate(x)) · up(x))`, without biases (Shazeer 2020, arXiv:2002.05202, eq. 6)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(d_model, d_ff, bias=False)
        self.up_proj = nn.Linear(d_model, d_ff, bias=False)
        self.down_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d_model] to the same."""
        # SiLU alone is computed in the wider dtype: its exponential differs in the last bit from library to library.
        activated = F.silu(self.gate_proj(x).to(self.compute_dtype)) * self.up_proj(x)
        output: Tensor = self.down_proj(activated.to(x.dtype))
        return output

    @torch.no_grad()
    def smooth(self, maxima: Tensor, *, strength: float) -> None:
        """Divide the inner channels by factors that their next matrix is multiplied by; the outputs stay the same.

        SmoothQuant (Xiao et al. 2023, arXiv:2211.10438, eq. 4) at the one place of SwiGLU where channels can be
        scaled: `down(silu(gate(x)) · up(x))` is linear in the rows of `up`. Outliers among the inputs of `down`
        become smaller, and the columns of `down` that meet them larger.

        Args:
            maxima: [d_ff] float32, the largest magnitude seen of each inner channel.
            strength: α of the paper, above 0 and at most 1.
        """
        columns = self.down_proj.weight.abs().amax(dim=0)
        factors = maxima.clamp_min(_SMALLEST) ** strength / columns.clamp_min(_SMALLEST) ** (1 - strength)
        self.down_proj.weight.mul_(factors)
        self.up_proj.weight.div_(factors[:, None])


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
        # The minus of the rotation is in the table, so that a roll takes the place of a negation and a concatenation.
        self.register_buffer("sin", torch.cat((-sin, sin), dim=-1), persistent=False)

    def forward(self, x: Tensor, offset: int) -> Tensor:
        """Rotate queries or keys.

        Args:
            x: [B, T, H, D].
            offset: position of the first of the T columns.

        Raises:
            LingoLiteError: the last position lies outside the table.
        """
        end = offset + x.size(1)
        if end > self.cos.size(0):
            raise LingoLiteError(
                f"position {end - 1} lies outside the model's max_seq_len {self.cos.size(0)}",
                hint="shorten the text or lower max_length",
            )
        cos = self.cos[offset:end].unsqueeze(1)  # [T, 1, D]
        sin = self.sin[offset:end].unsqueeze(1)
        return x * cos + x.roll(x.size(-1) // 2, dims=-1) * sin
