"""What a text cannot measure fails a budget as not measured, whichever metric it is; what it can measure is judged."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurability import why_no_loss, why_unmeasurable
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS, drop_budget, metric_budgets
from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.differences import MetricDifference, MetricRange
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.parity import Parity
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.plugins.registry import load_registry

LABELS = ["Åbn filen", "Gem filen", "Luk vinduet", "Ny mappe"]
SENTENCES = ["Filen kunne ikke åbnes nu.", "Gem alle filer i en ny mappe.", "Luk vinduet og åbn det igen."]
SACREBLEU = ("bleu", "chrf", "chrfpp", "ter", "exact-match", "length-ratio")


def scorer(name: str, **options: Any) -> Scorer:
    loaded = load_registry().resolve("metric", name)
    return Scorer(loaded.create(options=options), loaded.spec)


def difference(metric: Scorer, references: list[str], first: list[str], second: list[str]) -> MetricDifference:
    sides = [
        Translations(["source"] * len(references), [[one] for one in references], side) for side in (first, second)
    ]
    return measure_difference(metric.spec.name, metric, *sides, seed=17, resamples=100)


def verdicts(given: MetricDifference) -> dict[str, tuple[str, str]]:
    """By budget on the metric, status and reason; no limit could be broken."""
    budgets = metric_budgets(given.metric, given.goal)
    limits = {budget.name: -1e9 if budget.is_floor else 1e9 for budget in budgets}
    found = [judge(one, MeasuredFigures(differences=[given]), limit=limits[one.name]) for one in budgets]
    return {verdict.budget: (verdict.status, verdict.why) for verdict in found}


def test_bleu_of_sentences_without_four_tokens_is_not_measured() -> None:
    for status, why in verdicts(difference(scorer("bleu"), LABELS, LABELS, [""] * 4)).values():
        assert status == "not measured"
        assert "these texts cannot measure it: a perfect translation scores 0.00" in why


@pytest.mark.parametrize("name", SACREBLEU)
@pytest.mark.parametrize("blank", ["", " "])
def test_no_metric_is_measured_on_empty_references(name: str, blank: str) -> None:
    found = verdicts(difference(scorer(name), [blank] * 4, [blank] * 4, ["Åbn"] * 4))
    assert {status for status, _ in found.values()} == {"not measured"}


@pytest.mark.parametrize("name", SACREBLEU)
def test_sentences_are_judged_by_every_metric(name: str) -> None:
    metric = scorer(name)
    found = verdicts(difference(metric, SENTENCES, SENTENCES, [SENTENCES[0], *SENTENCES[:2]]))
    assert {status for status, _ in found.values()} == {"pass"}
    assert why_no_loss(difference(metric, SENTENCES, SENTENCES, SENTENCES)) is None


def test_a_few_long_sentences_among_many_short_ones_are_enough() -> None:
    references = [*LABELS * 30, *SENTENCES]
    assert why_no_loss(difference(scorer("bleu"), references, references, references)) is None


def test_a_smoothing_that_gives_short_sentences_a_score_measures_them() -> None:
    smoothed = scorer("bleu", smooth_method="add-k")
    assert why_no_loss(difference(smoothed, LABELS, LABELS, LABELS)) is None


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter", "exact-match"])
def test_a_reference_that_is_as_bad_as_can_be_has_nothing_to_lose(name: str) -> None:
    wrong = ["ꙮ"] * 3
    given = difference(scorer(name), SENTENCES, wrong, wrong)
    drop = judge(drop_budget(name), MeasuredFigures(differences=[given]), limit=0.5)
    assert drop.status == "not measured"
    assert "the reference has nothing to lose" in drop.why


def test_a_metric_that_gives_no_number_is_not_measured() -> None:
    class Undefined:
        def score(self, hypotheses: list[str], references: list[list[str]]) -> Score:
            return Score(value=math.nan, signature="none")

    spec = scorer("length-ratio").spec
    given = difference(Scorer(Undefined(), type(spec)(name="x", summary="", factory="")), SENTENCES, LABELS, LABELS)
    assert {status for status, _ in verdicts(given).values()} == {"not measured"}
    infinite = MetricRange(perfect=math.inf, failed=0.0)
    assert why_unmeasurable(infinite, "higher") is not None


def test_records_that_do_not_tell_the_range_are_judged_as_they_were() -> None:
    old = MetricDifference(metric="bleu", reference=0.0, candidate=0.0, delta=0.0, low=0.0, high=0.0)
    assert judge(drop_budget("bleu"), MeasuredFigures(differences=[old]), limit=0.5).status == "pass"


def test_a_missing_figure_says_why_it_is_missing() -> None:
    exported = ExportedComparison(not_measured=["whether the file is what was exported: there is no bundle"])
    parity = Parity(exact_match=1.0, num_tokens=9, not_measured=["logits: the engine gives none"])
    seen = MeasuredFigures(exported=exported, parity=parity)
    assert "there is no bundle" in judge(BUDGETS["exported_kl_max"], seen, limit=1.0).why
    assert "the engine gives none" in judge(BUDGETS["kl_mean_max"], seen, limit=1.0).why
