"""Two systems on the same sentences: scores with intervals, wins and losses, by length, and what differs most.

Owns what is compared. What the systems are, and where their translations come from, is the caller's. N sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from lingolite_cli.console import Progress
from lingolite_cli.evaluation.differences import Loss, MetricDifference
from lingolite_cli.evaluation.failures import lost_sentences, metric_range
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.plugins.specs import merit

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray
    from lingolite_cli.evaluation.statistics import Pairs

LENGTHS = ((1, 5), (6, 10), (11, 20), (21, 40), (41, None))
"""Source lengths in words, the first and last of each bucket."""


class ComparedSentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence that the systems translate differently. `delta` is sentence chrF of the second minus the first."""

    index: int
    source: str
    reference: str
    first: str
    second: str
    delta: float


class SourceLengthBucket(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences whose source has `low` to `high` words; None for no end."""

    low: int
    high: int | None
    num_sentences: int
    differences: list[MetricDifference]


class SystemComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The second system against the first.

    `signatures` say how each metric scored. `wins`, `losses` and `ties` count sentences by sentence chrF; `same` of the
    ties are the same text. `best` and `worst` begin with the largest difference.
    """

    name: str
    num_sentences: int
    differences: list[MetricDifference]
    signatures: dict[str, str]
    wins: int
    losses: int
    ties: int
    same: int
    buckets: list[SourceLengthBucket]
    best: list[ComparedSentence]
    worst: list[ComparedSentence]


def compare_translations(
    first: Translations,
    second: Translations,
    metrics: Mapping[str, Scorer],
    *,
    name: str,
    seed: int = 17,
    resamples: int = 1000,
    listed: int = 5,
    progress: Progress | None = None,
) -> SystemComparison:
    """Compare two systems.

    Args:
        first: what is compared with.
        second: of the same sentences in the same order.
        metrics: by name.
        name: of the comparison.
        seed: of the resampling.
        resamples: of the paired bootstrap.
        listed: best and worst sentences.
        progress: is told of each sentence, and of what is measured by each metric.
    """
    progress = progress or Progress()
    progress.begin(f"{name}: sentences", total=len(first.sources))
    deltas = _sentence_deltas(first, second, track=progress.track)
    differing = [index for index, (a, b) in enumerate(zip(first.hypotheses, second.hypotheses, strict=True)) if a != b]
    ordered = sorted(differing, key=lambda index: (deltas[index], index))
    insides = {(low, high): _of_length(first.sources, low, high) for low, high in LENGTHS}
    differences = []
    inside_differences: dict[tuple[int, int | None], list[MetricDifference]] = {ends: [] for ends in insides}
    for key, scorer in metrics.items():
        progress.begin(f"{name}: {key}", total=2 + sum(map(bool, insides.values())))
        statistics = _statistics(scorer, first, second)
        progress.advance()
        measure = partial(measure_difference, key, scorer, seed=seed, resamples=resamples)
        differences.append(measure(first, second, statistics=statistics))
        progress.advance()
        for ends, inside in insides.items():
            if inside:
                own = None if statistics is None else (statistics[0][inside], statistics[1][inside])
                inside_differences[ends].append(measure(first.pick(inside), second.pick(inside), statistics=own))
                progress.advance()
    wins, losses = sum(delta > 0 for delta in deltas), sum(delta < 0 for delta in deltas)
    return SystemComparison(
        name=name,
        num_sentences=len(deltas),
        differences=differences,
        # One sentence is enough for a signature, which does not depend on the text.
        signatures={key: scorer.score(first.pick([0])).signature for key, scorer in metrics.items()},
        wins=wins,
        losses=losses,
        ties=len(deltas) - wins - losses,
        same=len(deltas) - len(differing),
        buckets=[
            SourceLengthBucket(low=low, high=high, num_sentences=len(inside), differences=inside_differences[low, high])
            for (low, high), inside in insides.items()
            if inside
        ],
        best=[_sentence(first, second, i, deltas) for i in reversed(ordered) if deltas[i] > 0][:listed],
        worst=[_sentence(first, second, i, deltas) for i in ordered if deltas[i] < 0][:listed],
    )


def _of_length(sources: Sequence[str], low: int, high: int | None) -> list[int]:
    """Indices of the sources of `low` to `high` words."""
    return [index for index, text in enumerate(sources) if low <= len(text.split()) <= (high or 10**9)]


def _statistics(scorer: Scorer, first: Translations, second: Translations) -> Pairs | None:
    """[N, K] of both; None for a metric that gives none. Of two equal translations one is scored."""
    if not scorer.is_resamplable:
        return None
    before = scorer.statistics(first)
    after = before.copy()
    pairs = enumerate(zip(first.hypotheses, second.hypotheses, strict=True))
    differing = [index for index, (one, other) in pairs if one != other]
    if differing:
        after[differing] = scorer.statistics(second.pick(differing))
    return before, after


def measure_difference(
    name: str,
    scorer: Scorer,
    first: Translations,
    second: Translations,
    *,
    seed: int,
    resamples: int,
    scores: tuple[float, float] | None = None,
    statistics: Pairs | None = None,
) -> MetricDifference:
    """Second minus first by one metric, with interval and p-value where the metric allows them.

    Args:
        name: of the metric.
        scorer: the metric.
        first: what is compared with.
        second: of the same sentences in the same order.
        seed: of the resampling.
        resamples: of the paired bootstrap, and trials of the randomization.
        scores: of both, where they are known.
        statistics: [N, K] of both, where they are known.
    """
    statistics = statistics or _statistics(scorer, first, second)
    if statistics is None:
        before, after = scores or [scorer.score(side).value for side in (first, second)]
        return _difference(name, scorer, (before, after), first)
    score = scorer.metric.from_statistics
    before, after = scores or [float(score(rows.sum(axis=0, keepdims=True))[0]) for rows in statistics]
    difference = _difference(name, scorer, (before, after), first)
    return _resampled(difference, score, statistics, unseen=lost_sentences(scorer, first), seed=seed, count=resamples)


def _difference(name: str, scorer: Scorer, scores: tuple[float, float], translations: Translations) -> MetricDifference:
    """A difference without an interval."""
    before, after = scores
    return MetricDifference(
        metric=name,
        reference=before,
        candidate=after,
        delta=after - before,
        num_sentences=len(translations.sources),
        goal=scorer.spec.goal,
        range=metric_range(scorer, translations),
    )


def _resampled(
    difference: MetricDifference,
    score: Callable[[StatisticsArray], StatisticsArray],
    statistics: Pairs,
    *,
    unseen: Pairs,
    seed: int,
    count: int,
) -> MetricDifference:
    """The difference with its interval, its p-value and its loss. `statistics` are [N, K] of both."""
    from lingolite_cli.evaluation.statistics import guarded_interval, paired_bootstrap, paired_randomization

    goal = difference.goal

    def turned(totals: StatisticsArray) -> StatisticsArray:
        return merit(score(totals), goal)

    interval = paired_bootstrap(*statistics, score, resamples=count, seed=seed)
    gain = interval if goal == "higher" else paired_bootstrap(*statistics, turned, resamples=count, seed=seed)
    guarded = guarded_interval(*statistics, turned, unseen=unseen, resamples=count, seed=seed)
    return msgspec.structs.replace(
        difference,
        delta=interval.delta,
        low=interval.low,
        high=interval.high,
        confidence=interval.confidence,
        p_value=paired_randomization(*statistics, score, trials=count, seed=seed),
        resampled_loss=Loss(
            estimate=0.0 - gain.delta, low=0.0 - gain.high, high=0.0 - gain.low, guarded_high=0.0 - guarded.low
        ),
    )


_Sentence: TypeAlias = tuple[list[str], str, str]


def _sentence_deltas(
    first: Translations, second: Translations, *, track: Callable[[Iterable[_Sentence]], Iterable[_Sentence]]
) -> list[float]:
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    deltas = []
    for references, before, after in track(zip(first.references, first.hypotheses, second.hypotheses, strict=True)):
        same = before == after
        deltas.append(0.0 if same else _score(metric, after, references) - _score(metric, before, references))
    return deltas


def _score(metric: Any, hypothesis: str, references: list[str]) -> float:
    return float(metric.sentence_score(hypothesis, references).score)


def _sentence(first: Translations, second: Translations, index: int, deltas: Sequence[float]) -> ComparedSentence:
    return ComparedSentence(
        index=index,
        source=first.sources[index],
        reference=first.references[index][0],
        first=first.hypotheses[index],
        second=second.hypotheses[index],
        delta=deltas[index],
    )
