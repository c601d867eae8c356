"""The candidate tokens of a batch: those that its sentences' vocabulary shortlists leave to choose from.

Owns the way between places among the candidates and ids of the vocabulary. Which tokens are candidates is decided by
`lingolite_cli.shortlist.candidates`. B batch, V vocabulary, N candidates, k best tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.shortlist.candidates import IMPOSSIBLE

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray, IntArray


class BatchCandidates(msgspec.Struct, frozen=True):
    """The tokens that a batch chooses from.

    Attributes:
        ids: [N] int64, ascending.
        inputs: by input name of the decoder, what is theirs of the output projection: rows [N, d_model] float32, and
            the bias of their logits [N] where there is one.
        vocab_size: V.
    """

    ids: Array
    inputs: dict[str, Array]
    vocab_size: int

    @property
    def count(self) -> int:
        """N."""
        return len(self.ids)

    def logits(self, of_candidates: FloatArray) -> FloatArray:
        """[B, V] logits from those [B, N] of the candidates; other tokens are impossible."""
        everywhere = np.full((len(of_candidates), self.vocab_size), IMPOSSIBLE, np.float32)
        everywhere[:, self.ids] = of_candidates
        return everywhere

    def top_k(self, places: IntArray, log_probabilities: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Ids and log-probabilities [B, min(k, V)] from places among the candidates, [B, min(k, N)].

        A host that asks for more than N gets other tokens, each impossible, so that beams have their width.
        """
        ids = self.ids[places]
        num_more = min(k, self.vocab_size) - ids.shape[1]
        if num_more <= 0:
            return ids, log_probabilities
        others = np.setdiff1d(np.arange(self.vocab_size), self.ids)[:num_more]
        padding = [(0, 0), (0, num_more)]
        impossible = np.pad(log_probabilities, padding, constant_values=np.float32(IMPOSSIBLE))
        return np.concatenate([ids, np.tile(others, (len(ids), 1))], axis=1), impossible
