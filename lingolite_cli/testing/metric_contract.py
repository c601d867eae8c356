"""The contract of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from lingolite_cli.plugins.specs import merit
from lingolite_cli.testing.contract import Contract

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Metric, ResamplableMetric, Score

REFERENCES = (
    "The boat sails at noon from the old harbour.",
    "A red house stands by the road near the gate.",
    "She reads the letter twice before she answers it.",
    "We ate bread and cheese by the window in the rain.",
    "Nothing is as quiet as snow on the hills at night!",
)
SECOND_REFERENCES = (
    "At noon the boat sails from the old harbour.",
    "There is a red house by the road near the gate.",
    "She reads the letter two times before she answers it.",
    "By the window, in the rain, we ate bread and cheese.",
    "Nothing on the hills is as quiet as snow at night!",
)
HYPOTHESES = (
    "The boat sails at noon from the harbour.",
    "A red house is standing by the road near the gate.",
    "She reads the letter twice.",
    "We ate bread with cheese by the window in the rain today.",
    "Nothing is quiet like snow on the hills!",
)
SOURCES = (
    "Båden sejler ved middag fra den gamle havn.",
    "Et rødt hus står ved vejen nær lågen.",
    "Hun læser brevet to gange, før hun svarer.",
    "Vi spiste brød og ost ved vinduet i regnen.",
    "Intet er så stille som sne på bakkerne om natten!",
)
_STREAMS = pytest.mark.parametrize(
    "references", [[REFERENCES], [REFERENCES, SECOND_REFERENCES]], ids=["one-reference", "two-references"]
)


class MetricContract(Contract):
    """Everything that the host relies on in a metric."""

    kind = "metric"

    @pytest.fixture
    def metric(self) -> Metric:
        """The metric under test."""
        return cast("Metric", self.loaded().create(options=self.options))

    def test_a_perfect_translation_scores_best(self, metric: Metric) -> None:
        perfect = self._score(metric, REFERENCES, [REFERENCES]).value
        others = [self._score(metric, texts, [REFERENCES]).value for texts in (HYPOTHESES, REFERENCES[::-1])]
        goal = self.loaded().spec.goal
        assert all(merit(perfect, goal) >= merit(other, goal) for other in others)
        # Sentences in another order are as long, all together: a metric with a target may not see that.
        assert merit(perfect, goal) > merit(others[0], goal)
        assert isinstance(goal, float) or merit(perfect, goal) > merit(others[1], goal)

    def test_a_score_has_a_signature_that_stays_the_same(self, metric: Metric) -> None:
        first = self._score(metric, HYPOTHESES, [REFERENCES])
        second = self._score(metric, REFERENCES, [REFERENCES])
        assert first.signature
        assert first.signature == second.signature

    @_STREAMS
    def test_the_order_of_sentences_does_not_matter(self, metric: Metric, references: list[tuple[str, ...]]) -> None:
        order = [3, 0, 4, 2, 1]
        shuffled = self._score(
            metric,
            [HYPOTHESES[index] for index in order],
            [[stream[index] for index in order] for stream in references],
            [SOURCES[index] for index in order],
        )
        assert shuffled.value == pytest.approx(self._score(metric, HYPOTHESES, references).value, rel=1e-9)

    def test_the_same_corpus_has_the_same_score(self, metric: Metric) -> None:
        assert self._score(metric, HYPOTHESES, [REFERENCES]) == self._score(metric, HYPOTHESES, [REFERENCES])

    def test_an_empty_hypothesis_can_be_scored(self, metric: Metric) -> None:
        assert np.isfinite(self._score(metric, ("", *HYPOTHESES[1:]), [REFERENCES]).value)

    @_STREAMS
    def test_statistics_add_up_to_the_score(self, metric: Metric, references: list[tuple[str, ...]]) -> None:
        resamplable = self._resamplable(metric)
        statistics = resamplable.statistics(HYPOTHESES, references, **self._sources(SOURCES))
        assert statistics.dtype == np.float64
        assert statistics.ndim == 2
        assert len(statistics) == len(HYPOTHESES)
        scores = resamplable.from_statistics(statistics.sum(axis=0, keepdims=True))
        assert scores.shape == (1,)
        assert scores[0] == pytest.approx(self._score(metric, HYPOTHESES, references).value, rel=1e-6)

    @_STREAMS
    def test_statistics_give_the_scores_of_resampled_corpora(
        self, metric: Metric, references: list[tuple[str, ...]]
    ) -> None:
        resamplable = self._resamplable(metric)
        samples = np.array([[0, 0, 3, 4, 2], [1, 1, 1, 1, 1], [4, 3, 2, 1, 0]])
        statistics = resamplable.statistics(HYPOTHESES, references, **self._sources(SOURCES))
        scores = resamplable.from_statistics(statistics[samples].sum(axis=1))
        expected = [
            self._score(
                metric,
                [HYPOTHESES[index] for index in sample],
                [[stream[index] for index in sample] for stream in references],
                [SOURCES[index] for index in sample],
            ).value
            for sample in samples
        ]
        np.testing.assert_allclose(scores, expected, rtol=1e-6)

    def _score(
        self,
        metric: Metric,
        hypotheses: Sequence[str],
        references: Sequence[Sequence[str]],
        sources: Sequence[str] = SOURCES,
    ) -> Score:
        return metric.score(hypotheses, references, **self._sources(sources))

    def _sources(self, sources: Sequence[str]) -> dict[str, Any]:
        """What a metric with the capability `sources` is given besides."""
        return {"sources": sources} if "sources" in self.loaded().spec.capabilities else {}

    def _resamplable(self, metric: Metric) -> ResamplableMetric:
        if "sentence_statistics" not in self.loaded().spec.capabilities:
            pytest.skip(f"metric `{self.plugin}` does not declare the capability `sentence_statistics`")
        return cast("ResamplableMetric", metric)
