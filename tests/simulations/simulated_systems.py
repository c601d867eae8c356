"""Systems whose true difference is known, to see how often verdicts err.

A population of sentences stands for everything that could be translated, and a test set is drawn from it with
replacement: the score of a system on the whole population is its true score. The reference system makes mistakes of its
own; the candidate makes those and, on top, mistakes of one kind. N sentences, K statistics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import drop_budget
from lingolite_cli.evaluation.differences import Loss, MetricDifference
from lingolite_cli.evaluation.failures import lost_sentences
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.evaluation.statistics import guarded_interval, paired_bootstrap
from lingolite_cli.plugins.specs import merit

Harm = Callable[[Sequence[str], np.random.Generator], list[str]]


def lose_words(texts: Sequence[str], generator: np.random.Generator, *, share: float = 0.02) -> list[str]:
    """Each word is lost with the same probability: small losses in many sentences."""
    return [" ".join(word for word in text.split() if generator.random() >= share) or "." for text in texts]


def cut_sentences(texts: Sequence[str], generator: np.random.Generator, *, share: float = 0.08) -> list[str]:
    """Some sentences lose their last third: middling losses in some sentences."""
    return [
        " ".join(words[: len(words) - len(words) // 3]) if generator.random() < share else text
        for text, words in ((text, text.split()) for text in texts)
    ]


def break_sentences(texts: Sequence[str], generator: np.random.Generator, *, share: float = 0.02) -> list[str]:
    """Few sentences repeat their first word instead of saying anything: large losses in few sentences."""
    return [" ".join(text.split()[:1] * 8) if generator.random() < share else text for text in texts]


def make_mistakes(texts: Sequence[str], generator: np.random.Generator) -> list[str]:
    """What the reference system makes of them: every fifth word is some other word of these texts."""
    words = [word for text in texts for word in text.split()]
    return [
        " ".join(word if generator.random() > 0.2 else words[generator.integers(len(words))] for word in text.split())
        for text in texts
    ]


HARMS: dict[str, Harm] = {
    "words lost everywhere": lose_words,
    "8 % of sentences cut": cut_sentences,
    "2 % of sentences broken": break_sentences,
}


class Population(msgspec.Struct, frozen=True):
    """Statistics of both systems by one metric, [N, K] each, and how much the candidate truly loses.

    `unseen` is what `lost_sentences` says of the whole population.
    """

    score: Callable[[Any], Any]
    reference: Any
    candidate: Any
    unseen: Any
    true_loss: float


def make_population(references: Sequence[str], harm: Harm, scorer: Scorer, *, seed: int) -> Population:
    """Two systems that translate these sentences.

    Args:
        references: the population.
        harm: what the candidate does on top of the reference system's mistakes.
        scorer: of a metric that is resamplable and needs no sources.
        seed: of the mistakes.
    """
    generator = np.random.default_rng(seed)
    hypotheses = make_mistakes(references, generator)
    systems = [
        Translations([""] * len(references), [[text] for text in references], texts)
        for texts in (hypotheses, harm(hypotheses, generator))
    ]
    before, after = (scorer.statistics(system) for system in systems)

    def merits(totals: Any) -> Any:
        return merit(scorer.metric.from_statistics(totals), scorer.spec.goal)

    first, second = (float(merits(statistics.sum(axis=0, keepdims=True))[0]) for statistics in (before, after))
    return Population(merits, before, after, lost_sentences(scorer, systems[0]), first - second)


class Outcomes(msgspec.Struct, frozen=True):
    """How often budgets at exactly the true loss pass: by the interval alone, and by the verdict; of `draws`."""

    draws: int
    interval_passes: int
    verdicts: Counter[str]


def judge_at_the_margin(
    population: Population, *, num_sentences: int, draws: int, seed: int, resamples: int = 1000
) -> Outcomes:
    """Verdicts on a budget of exactly the true loss, from test sets of `num_sentences`: any `pass` is a false one."""
    generator = np.random.default_rng(seed)
    verdicts: Counter[str] = Counter()
    passes = 0
    for number in range(draws):
        drawn = generator.integers(len(population.reference), size=num_sentences)
        difference = measured(population, drawn, resamples=resamples, seed=number)
        passes += difference.loss.high <= population.true_loss
        verdicts[judged(difference, population.true_loss).status] += 1
    return Outcomes(draws, passes, verdicts)


def measured(population: Population, drawn: Any, *, resamples: int, seed: int) -> MetricDifference:
    """The difference that a test set of these sentences shows."""
    pair = population.reference[drawn], population.candidate[drawn]
    plain = paired_bootstrap(*pair, population.score, resamples=resamples, seed=seed)
    guarded = guarded_interval(*pair, population.score, unseen=population.unseen, resamples=resamples, seed=seed)
    return MetricDifference(
        metric="simulated",
        reference=0.0,
        candidate=plain.delta,
        delta=plain.delta,
        low=plain.low,
        high=plain.high,
        num_sentences=len(drawn),
        resampled_loss=Loss(estimate=-plain.delta, low=-plain.high, high=-plain.low, guarded_high=-guarded.low),
    )


def judged(difference: MetricDifference, limit: float) -> Any:
    """The verdict on a budget."""
    return judge(drop_budget(difference.metric), MeasuredFigures(differences=[difference]), limit=limit)
