"""What graphs are checked on, what is recorded of them, and how a recording is replayed to the reference.

Two correct computations of an int8 model can differ: another order of float sums can move an activation by one of 255
levels, and later layers amplify that. So the graphs' own integers are recorded, each is compared with the quotient that
it was rounded from, and the reference continues from them. Logits must then agree as closely as in float. Which tensors
of a graph are recorded is decided by the module of its profile.
"""

from __future__ import annotations

import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.arrays import Array


class Sample(msgspec.Struct, frozen=True):
    """Source ids and mask, [B, S], and target ids [B, T]."""

    source_ids: Array
    source_mask: Array
    target_ids: Array

    @classmethod
    def random(cls, architecture: Architecture, *, max_length: int) -> Sample:
        """Two short rows with padding in the last; the same for equal arguments."""
        generator = np.random.default_rng(0)
        source = generator.integers(0, architecture.num_source_tokens, (2, min(7, max_length)))
        target = generator.integers(0, architecture.vocab_size, (2, min(5, max_length)))
        mask = np.ones(source.shape, dtype=np.bool_)
        mask[-1, (source.shape[1] + 1) // 2 :] = False
        return cls(np.where(mask, source, architecture.pad_token_id), mask, target)


class Recording(msgspec.Struct, frozen=True):
    """What graphs computed on a sample.

    Attributes:
        logits: [B, T, V] float32.
        integers: by matrix, the rounded activations that it met: [B·S, in] in the encoder, [B, T, in] in the
            decoder. Empty for float matrices.
        blocks: by matrix, how many neighbours in a row were rounded with one scale, where that is not the whole row.
    """

    logits: Array
    integers: dict[str, Array]
    blocks: dict[str, int] = {}


class Replay:
    """A rounding for `lingolite_cli.architecture.reference.Reference` that gives recorded integers.

    Attributes:
        largest_error: largest distance of a recorded integer from its quotient; 0.5 is what rounding may do.
    """

    def __init__(self, recording: Recording) -> None:
        self._integers = recording.integers
        self.largest_error = 0.0

    def __call__(self, name: str, quotients: Array) -> Array:
        """The integers recorded for the matrix `name`, in the shape of `quotients`."""
        integers = self._integers[name].reshape(quotients.shape)
        # Not `max` of Python, which takes no NaN that comes second.
        self.largest_error = float(np.maximum(self.largest_error, np.abs(integers - quotients).max()))
        return integers
