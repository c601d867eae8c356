"""Two systems that translate a sentence alike have its statistics in common: it is scored once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.plugins.registry import load_registry

REFERENCES = ["Gem filen først .", "Vinduet kunne ikke åbnes .", "Tryk på en tast .", "Der er ingen forbindelse ."]
BEFORE = Translations(["-"] * 4, [[text] for text in REFERENCES], ["Gem filen .", *REFERENCES[1:]])
AFTER = Translations(BEFORE.sources, BEFORE.references, [*BEFORE.hypotheses[:2], "Tryk en tast .", "Ingen forbindelse"])


class Recording:
    """A metric that notes how many hypotheses it is given."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self.counts: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metric, name)

    def statistics(self, hypotheses: list[str], references: list[list[str]]) -> Any:
        self.counts.append(len(hypotheses))
        return self._metric.statistics(hypotheses, references)


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_equal_translations_are_scored_once_and_figures_are_those_of_scoring_all(name: str) -> None:
    loaded = load_registry().resolve("metric", name)
    scorer = Scorer(Recording(loaded.create()), loaded.spec)
    found = measure_difference(name, scorer, BEFORE, AFTER, seed=3, resamples=200)
    assert scorer.metric.counts[:2] == [4, 2]
    both = tuple(scorer.statistics(side) for side in (BEFORE, AFTER))
    assert found == measure_difference(name, scorer, BEFORE, AFTER, seed=3, resamples=200, statistics=both)
    assert found.delta != 0


def test_two_systems_that_translate_alike_are_scored_once() -> None:
    loaded = load_registry().resolve("metric", "chrf")
    scorer = Scorer(Recording(loaded.create()), loaded.spec)
    counts = []
    for after in (AFTER, msgspec.structs.replace(BEFORE)):
        scorer.metric.counts.clear()
        difference = measure_difference("chrf", scorer, BEFORE, after, seed=3, resamples=200)
        counts.append(len(scorer.metric.counts))
    assert difference.delta == 0
    assert counts[1] == counts[0] - 1
