"""What it costs to lose a sentence, by every metric that has intervals."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import drop_budget
from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.failures import lost_sentences
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.plugins.specs import MetricSpec

REFERENCES = [
    "Gem filen først .",
    "Vinduet kunne ikke åbnes , da stien mangler .",
    "Tryk på en tast for at gå videre .",
]
HYPOTHESES = ["Gem filen først .", "Vinduet kan ikke åbnes , fordi stien mangler .", "Tryk på tasten for at gå ud ."]


def scorer(name: str) -> Scorer:
    metric = load_registry().resolve("metric", name)
    assert isinstance(metric.spec, MetricSpec)
    return Scorer(metric.create(), metric.spec)


def translations(repeats: int, hypotheses: list[str] = HYPOTHESES) -> Translations:
    return Translations(["-"] * 3 * repeats, [[text] for text in REFERENCES * repeats], hypotheses * repeats)


@pytest.mark.parametrize(
    ("name", "mean", "wrong", "nothing"),
    [
        ("exact-match", 100 / 3, 0.0, 0.0),
        ("ter", 100 * 5 / 22, 100.0, 100.0),
        ("length-ratio", 100 * 92 / 96, 100 * 92 / 96, 0.0),
        ("chrf", None, 0.0, 0.0),
        ("bleu", None, 0.0, 0.0),
    ],
)
def test_lost_sentence_is_worth_nothing(name: str, mean: float | None, wrong: float, nothing: float) -> None:
    metric = scorer(name)
    reference, candidate = lost_sentences(metric, translations(1))
    score = metric.metric.from_statistics
    if mean is not None:
        assert score(reference) == pytest.approx([mean, mean])
    assert score(reference)[0] == pytest.approx(metric.score(translations(1)).value)
    assert score(candidate) == pytest.approx([wrong, nothing], abs=1e-6)


def test_mean_sentence_does_not_depend_on_the_size_of_the_test_set() -> None:
    metric = scorer("chrf")
    few, many = (lost_sentences(metric, translations(repeats)) for repeats in (1, 400))
    assert np.allclose(few, many, rtol=0.1)


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_budget_smaller_than_what_may_hide_never_passes(name: str) -> None:
    """-log(0.025) / N of all sentences may be lost although none of N is; see the table in docs/proof.md."""
    metric = scorer(name)
    same = translations(100)
    difference = measure_difference(name, metric, same, same, seed=17, resamples=2000)
    score = metric.score(same).value
    worth = 100 - score if name == "ter" else score
    assert (difference.low, difference.high) == (0.0, 0.0)
    assert difference.loss.guarded_high == pytest.approx(3.69 / 300 * worth, rel=0.2)
    for limit, status in ((0.8 * difference.loss.guarded_high, "inconclusive"), (1.6, "pass")):
        verdict = judge(drop_budget(name), MeasuredFigures(differences=[difference]), limit=limit)
        assert verdict.status == status
