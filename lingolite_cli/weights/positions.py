"""The table of positions that engines add to embeddings, computed or read from the weights.

Tables of relative positions, which are added to attention scores, are in `lingolite_cli.architecture.positions`.
"""

from __future__ import annotations

from lingolite_cli.architecture.architecture import Learned, Sinusoidal
from lingolite_cli.architecture.parts import Decoder, Encoder
from lingolite_cli.architecture.positions import sinusoidal_table
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Weights


def position_table(weights: Weights, stack: Encoder | Decoder, *, num_positions: int) -> Array:
    """[num_positions, d_model] float32: what is added to the embedding at each position, from the first on.

    Args:
        weights: of an architecture with sinusoidal or learned positions.
        stack: each has learned positions of its own.
        num_positions: at most those of the model, where they are learned.
    """
    kind = weights.config.positions
    if isinstance(kind, Sinusoidal):
        return sinusoidal_table(kind, num_positions, weights.config.d_model)
    assert isinstance(kind, Learned)
    assert stack.positions is not None
    return weights.floats(stack.positions.name)[kind.offset : kind.offset + num_positions]
