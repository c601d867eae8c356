"""The metric: exact matches in percent. N sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lingolite_cli.plugins.interfaces import Score
from lingolite_echo import ExactOptions


class Exact:
    """Counts hypotheses that are one of their references."""

    def __init__(self, *, options: ExactOptions) -> None:
        self._lowercase = options.lowercase
        accepted = [path.read_text(encoding="utf-8").splitlines() for path in options.files()]
        self._accepted = {line for lines in accepted for line in lines}

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
        """The corpus score."""
        totals = self.statistics(hypotheses, references).sum(axis=0, keepdims=True)
        return Score(
            value=float(self.from_statistics(totals)[0]),
            signature=f"exact|case:{'lc' if self._lowercase else 'mixed'}|version:1.2.3",
        )

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
        """[N, 2]: matches, sentences."""
        matches = [
            hypothesis in self._accepted
            or any(self._fold(hypothesis) == self._fold(stream[index]) for stream in references)
            for index, hypothesis in enumerate(hypotheses)
        ]
        return np.array([[float(match), 1.0] for match in matches])

    def from_statistics(self, totals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Percent of sentences."""
        share: npt.NDArray[np.float64] = 100.0 * totals[:, 0] / totals[:, 1]
        return share

    def _fold(self, text: str) -> str:
        return text.lower() if self._lowercase else text
