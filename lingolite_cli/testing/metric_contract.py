"""The contract of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from lingolite_cli.plugins.specs import merit
from lingolite_cli.testing.contract import Contract

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Metric, ResamplableMetric

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
        perfect = metric.score(REFERENCES, [REFERENCES]).value
        others = [metric.score(texts, [REFERENCES]).value for texts in (HYPOTHESES, REFERENCES[::-1])]
        goal = self.loaded().spec.goal
        assert all(merit(perfect, goal) >= merit(other, goal) for other in others)
        # Sentences in another order are as long, all together: a metric with a target may not see that.
        assert merit(perfect, goal) > merit(others[0], goal)
        assert isinstance(goal, float) or merit(perfect, goal) > merit(others[1], goal)

    def test_a_score_has_a_signature_that_stays_the_same(self, metric: Metric) -> None:
        first = metric.score(HYPOTHESES, [REFERENCES])
        second = metric.score(REFERENCES, [REFERENCES])
        assert first.signature
        assert first.signature == second.signature

    @_STREAMS
    def test_the_order_of_sentences_does_not_matter(self, metric: Metric, references: list[tuple[str, ...]]) -> None:
        order = [3, 0, 4, 2, 1]
        shuffled = metric.score(
            [HYPOTHESES[index] for index in order],
            [[stream[index] for index in order] for stream in references],
        )
        assert shuffled.value == pytest.approx(metric.score(HYPOTHESES, references).value, rel=1e-9)

    def test_the_same_corpus_has_the_same_score(self, metric: Metric) -> None:
        assert metric.score(HYPOTHESES, [REFERENCES]) == metric.score(HYPOTHESES, [REFERENCES])

    def test_an_empty_hypothesis_can_be_scored(self, metric: Metric) -> None:
        assert np.isfinite(metric.score(("", *HYPOTHESES[1:]), [REFERENCES]).value)

    @_STREAMS
    def test_statistics_add_up_to_the_score(self, metric: Metric, references: list[tuple[str, ...]]) -> None:
        resamplable = self._resamplable(metric)
        statistics = resamplable.statistics(HYPOTHESES, references)
        assert statistics.dtype == np.float64
        assert statistics.ndim == 2
        assert len(statistics) == len(HYPOTHESES)
        scores = resamplable.from_statistics(statistics.sum(axis=0, keepdims=True))
        assert scores.shape == (1,)
        assert scores[0] == pytest.approx(metric.score(HYPOTHESES, references).value, rel=1e-6)

    @_STREAMS
    def test_statistics_give_the_scores_of_resampled_corpora(
        self, metric: Metric, references: list[tuple[str, ...]]
    ) -> None:
        resamplable = self._resamplable(metric)
        samples = np.array([[0, 0, 3, 4, 2], [1, 1, 1, 1, 1], [4, 3, 2, 1, 0]])
        statistics = resamplable.statistics(HYPOTHESES, references)
        scores = resamplable.from_statistics(statistics[samples].sum(axis=1))
        expected = [
            metric.score(
                [HYPOTHESES[index] for index in sample],
                [[stream[index] for index in sample] for stream in references],
            ).value
            for sample in samples
        ]
        np.testing.assert_allclose(scores, expected, rtol=1e-6)

    def _resamplable(self, metric: Metric) -> ResamplableMetric:
        if "sentence_statistics" not in self.loaded().spec.capabilities:
            pytest.skip(f"metric `{self.plugin}` does not declare the capability `sentence_statistics`")
        return cast("ResamplableMetric", metric)
