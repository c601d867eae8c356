"""The contract of metrics fails for those that break a promise: each mistake is one that an author could make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_cli.testing import MetricContract
from lingolite_cli.testing.metric_contract import REFERENCES
from tests.lingolite_cli.testing.plugin_here import Here, fails


class CountsWords:
    """A metric: the share of words in common, summed over sentences."""

    def __init__(self, *, options: Any) -> None:
        """It has none."""

    def score(self, hypotheses, references):
        [[value]] = self._value(self.statistics(hypotheses, references).sum(axis=0, keepdims=True))
        return Score(value=float(value), signature="words")

    def statistics(self, hypotheses, references):
        rows = []
        for texts in zip(hypotheses, *references, strict=True):
            words, *others = [set(text.split()) for text in texts]
            rows.append([max(len(words & other) for other in others), len(words | set().union(*others))])
        return np.array(rows, dtype=np.float64)

    def from_statistics(self, totals):
        return self._value(totals)[:, 0]

    def _value(self, totals):
        return totals[:, :1] / totals[:, 1:]


class LooksAtTheFirst(CountsWords):
    def score(self, hypotheses, references):
        return super().score(hypotheses[:1], [stream[:1] for stream in references])


class AveragesSentences(CountsWords):
    def score(self, hypotheses, references):
        return Score(value=float(self._value(self.statistics(hypotheses, references)).mean()), signature="mean")


class SignsWithTheScore(CountsWords):
    def score(self, hypotheses, references):
        scored = super().score(hypotheses, references)
        return Score(value=scored.value, signature=f"words {scored.value}")


class IsUpsideDown(CountsWords):
    def score(self, hypotheses, references):
        return Score(value=-super().score(hypotheses, references).value, signature="words")


class MetricCandidate(MetricContract):
    """The contract of one of the classes above."""

    plugin = "here"
    __test__ = False

    def __init__(self, made: type) -> None:
        spec = MetricSpec(name="here", summary="", factory="", capabilities=frozenset({"sentence_statistics"}))
        self.loaded = lambda: Here("metric", spec, made)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("made", "test"),
    [
        (LooksAtTheFirst, "test_the_order_of_sentences_does_not_matter"),
        (AveragesSentences, "test_statistics_add_up_to_the_score"),
        (AveragesSentences, "test_statistics_give_the_scores_of_resampled_corpora"),
        (SignsWithTheScore, "test_a_score_has_a_signature_that_stays_the_same"),
        (IsUpsideDown, "test_a_perfect_translation_scores_best"),
    ],
)
def test_a_metric_with_a_mistake_fails(made: type, test: str) -> None:
    for candidate, check in ((made, fails), (CountsWords, lambda test, **arguments: test(**arguments))):
        contract = MetricCandidate(candidate)
        method = getattr(contract, test)
        arguments = {"metric": contract.loaded().create()}
        if "references" in method.__code__.co_varnames[: method.__code__.co_argcount]:
            arguments["references"] = [REFERENCES]
        check(method, **arguments)
