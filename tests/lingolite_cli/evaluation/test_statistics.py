"""Resampling: against sacreBLEU's own intervals and p-values, closed forms, and its edges."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lingolite_metrics.bleu import Bleu
from lingolite_metrics.chrf import Chrf
from lingolite_metrics.options import BleuOptions, ChrfOptions, TerOptions
from lingolite_metrics.ter import Ter
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from lingolite_cli.evaluation import statistics
from lingolite_cli.evaluation.statistics import guarded_interval, paired_bootstrap, paired_randomization

Array = npt.NDArray[np.float64]


def mean_of_first(totals: Array) -> Array:
    """Statistics [value, 1]: the score is a mean, whose standard error is known."""
    return totals[:, 0] / totals[:, 1]


def systems(num_sentences: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(2)
    shared = generator.normal(30.0, 20.0, num_sentences)  # hard and easy sentences are so for both
    reference = shared + generator.normal(0.0, 1.0, num_sentences)
    candidate = shared - 0.4 + generator.normal(0.0, 1.0, num_sentences)
    ones = np.ones(num_sentences)
    return np.stack([reference, ones], axis=1), np.stack([candidate, ones], axis=1)


def test_interval_of_a_mean_has_the_width_of_its_standard_error() -> None:
    reference, candidate = systems(700)
    interval = paired_bootstrap(reference, candidate, mean_of_first, resamples=8000, seed=5)
    paired = candidate[:, 0] - reference[:, 0]
    standard_error = paired.std() / np.sqrt(len(paired))
    assert interval.delta == pytest.approx(paired.mean(), abs=1e-9)
    # 1.96 standard errors each side; 8,000 resamples know that to about 2 %.
    assert interval.low == pytest.approx(paired.mean() - 1.96 * standard_error, abs=0.1 * standard_error)
    assert interval.high == pytest.approx(paired.mean() + 1.96 * standard_error, abs=0.1 * standard_error)


def test_confidence_widens_the_interval() -> None:
    reference, candidate = systems(120)
    wide = paired_bootstrap(reference, candidate, mean_of_first, seed=1, confidence=0.99)
    narrow = paired_bootstrap(reference, candidate, mean_of_first, seed=1, confidence=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_same_seed_gives_the_same_interval_however_it_is_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, candidate = systems(53)
    whole = paired_bootstrap(reference, candidate, mean_of_first, resamples=300, seed=9)
    p_value = paired_randomization(reference, candidate, mean_of_first, trials=300, seed=9)
    guarded = guarded_interval(reference, candidate, mean_of_first, resamples=300, seed=9)
    monkeypatch.setattr(statistics, "_CHUNK_CELLS", 53 * 7)
    again = guarded_interval(reference, candidate, mean_of_first, resamples=300, seed=9)
    assert [again.low, again.high] == pytest.approx([guarded.low, guarded.high], abs=1e-9)
    assert paired_bootstrap(reference, candidate, mean_of_first, resamples=300, seed=9) == whole
    assert paired_randomization(reference, candidate, mean_of_first, trials=300, seed=9) == p_value
    assert paired_bootstrap(reference, candidate, mean_of_first, resamples=300, seed=10) != whole


@pytest.mark.parametrize(
    ("method", "number", "copies"),
    [
        (paired_bootstrap, "resamples", 1.1),
        (guarded_interval, "resamples", 1.1),
        (paired_randomization, "trials", 1.6),  # which holds gains besides
    ],
    ids=["bootstrap", "guarded", "randomization"],
)
def test_resampling_holds_statistics_and_weights_once(
    monkeypatch: pytest.MonkeyPatch, method: Any, number: str, copies: float
) -> None:
    """Drawn integers beside their counts, or scores of every sentence at once, would take several times as much."""
    chrf = Chrf(options=ChrfOptions())
    reference, candidate = np.random.default_rng(3).integers(1, 200, size=(2, 40_000, 18)).astype(np.float64)
    weights = 20 * len(reference)
    monkeypatch.setattr(statistics, "_CHUNK_CELLS", weights)
    tracemalloc.start()
    try:
        method(reference, candidate, chrf.from_statistics, **{number: 40}, seed=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < copies * 2 * reference.nbytes + 1.5 * 8 * weights


def test_system_against_itself_has_an_interval_of_zero() -> None:
    reference, _ = systems(40)
    interval = paired_bootstrap(reference, reference, mean_of_first, seed=1)
    assert (interval.delta, interval.low, interval.high) == (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def corpus() -> tuple[list[str], list[str], list[str]]:
    """200 references, a system that loses 8 % of their words, and one that loses 9 % and turns some round."""
    generator = np.random.default_rng(4)
    words = [f"{a}{b}" for a in ("ka", "hu", "må", "sø", "ru") for b in ("t", "nd", "ne", "de", "lle", "s")]

    def lose(sentence: str, share: float, turned: float = 0.0) -> str:
        kept = [word for word in sentence.split() if generator.random() > share] or words[:1]
        return " ".join(kept[::-1] if generator.random() < turned else kept)

    references = [" ".join(generator.choice(words, generator.integers(5, 20))) for _ in range(200)]
    better, worse = ([lose(text, *shares) for text in references] for shares in ((0.08,), (0.09, 0.01)))
    return references, better, worse


METRICS: list[tuple[Any, Any]] = [
    (Bleu(options=BleuOptions()), BLEU()),
    (Chrf(options=ChrfOptions()), CHRF()),
    (Chrf(options=ChrfOptions(word_order=2)), CHRF(word_order=2)),
    (Ter(options=TerOptions()), TER()),
]
NAMES = ["bleu", "chrf", "chrf++", "ter"]


@pytest.mark.parametrize(("ours", "theirs"), METRICS, ids=NAMES)
def test_intervals_are_those_of_sacrebleu(
    ours: Any, theirs: Any, corpus: tuple[list[str], list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """sacreBLEU gives intervals of one system; against a system whose score never changes, ours are of one too."""
    monkeypatch.setenv("SACREBLEU_SEED", "77")
    references, _, system = corpus
    expected = theirs.corpus_score(system, [references], n_bootstrap=1000)
    perfect, statistics = (ours.statistics(texts, [references]) for texts in (references, system))
    interval = paired_bootstrap(perfect, statistics, ours.from_statistics, resamples=4000, seed=3)
    # At 1,000 resamples an end has a Monte-Carlo error of 4 % of the half-width, so the half-width and the middle have
    # 3 %; ours, of 4,000, has half of that. Three and a half times both together is allowed.
    assert (interval.high - interval.low) / 2 == pytest.approx(expected._ci, rel=0.12)
    middle = ours.from_statistics(perfect.sum(axis=0, keepdims=True))[0] + (interval.high + interval.low) / 2
    assert middle == pytest.approx(expected._mean, abs=float(0.12 * expected._ci))


@pytest.mark.parametrize(("ours", "theirs"), METRICS, ids=NAMES)
def test_p_values_are_those_of_sacrebleu(
    ours: Any, theirs: Any, corpus: tuple[list[str], list[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "77")
    references, better, worse = corpus
    systems = [("better", better), ("worse", worse)]
    ((_, (_, result)),) = list(
        PairedTest(systems, {"x": theirs}, references=[references], test_type="ar", n_samples=1000)()[1].items()
    )[1:]
    first, second = (ours.statistics(system, [references]) for system in (better, worse))
    p_value = paired_randomization(first, second, ours.from_statistics, trials=4000, seed=5)
    assert 0.01 < result.p_value < 0.9, "a p-value at its ends would compare nothing"
    # Binomial: four standard errors of the difference of the two.
    error = np.sqrt(p_value * (1 - p_value) * (1 / 1000 + 1 / 4000))
    assert p_value == pytest.approx(result.p_value, abs=4 * error)


def test_p_value_of_a_mean_is_that_of_its_sign_flips() -> None:
    reference, candidate = systems(12)
    gain = candidate[:, 0] - reference[:, 0]
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=12)))
    exact = np.mean(np.abs(signs @ gain) >= abs(gain.sum()) - 1e-9)
    p_value = paired_randomization(reference, candidate, mean_of_first, trials=20_000, seed=1)
    assert p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_system_against_itself_has_the_p_value_one() -> None:
    reference, candidate = systems(40)
    assert paired_randomization(reference, reference, mean_of_first, seed=1) == 1.0
    far = candidate - [9.0, 0.0]
    assert paired_randomization(reference, far, mean_of_first, trials=999, seed=1) == 1 / 1000
    first = paired_randomization(reference, candidate, mean_of_first, seed=1)
    assert paired_randomization(reference, candidate, mean_of_first, seed=1) == first


def test_guarded_interval_holds_the_worst_sentence_once_more() -> None:
    """One failure among 200: Clopper and Pearson's exact bound has 2.75 %, the percentile bootstrap 1.5 %."""
    ones = np.ones((200, 2))
    candidate = ones.copy()
    candidate[7, 0] = 0.0
    plain = paired_bootstrap(ones, candidate, mean_of_first, resamples=20_000, seed=1)
    guarded = guarded_interval(ones, candidate, mean_of_first, resamples=20_000, seed=1)
    assert plain.low == pytest.approx(-0.015)
    assert guarded.low == pytest.approx(-0.0275, abs=0.0005)
    assert guarded.delta == plain.delta == pytest.approx(-0.005)
    turned = guarded_interval(candidate, ones, mean_of_first, resamples=20_000, seed=1)
    assert turned.high == pytest.approx(0.0275, abs=0.0005)


def test_guarded_interval_of_systems_that_are_alike_is_nothing() -> None:
    reference, candidate = systems(40)
    alike = guarded_interval(reference, reference, mean_of_first, seed=1)
    assert (alike.low, alike.high) == (0.0, 0.0)
    plain = paired_bootstrap(reference, candidate, mean_of_first, resamples=4000, seed=1)
    guarded = guarded_interval(reference, candidate, mean_of_first, resamples=4000, seed=1)
    assert guarded.low < plain.low < plain.high < guarded.high


def test_guarded_interval_reckons_with_the_failure_that_was_not_seen() -> None:
    """No failure among 200: Clopper and Pearson's exact bound, `scipy.stats.beta.ppf(0.975, 1, 200)`, is 1.83 %."""
    ones = np.ones((200, 2))
    lost = np.array([[1.0, 1.0]]), np.array([[0.0, 1.0]])
    guarded = guarded_interval(ones, ones, mean_of_first, unseen=lost, resamples=20_000, seed=1)
    assert guarded.delta == 0.0
    assert [guarded.low, guarded.high] == pytest.approx([-0.0183, 0.0183], abs=0.0004)
    candidate = ones.copy()
    candidate[7, 0] = -1.0  # worse than a sentence that is lost: what was seen counts
    seen = [
        guarded_interval(ones, candidate, mean_of_first, unseen=unseen, resamples=300, seed=1)
        for unseen in (None, lost)
    ]
    assert seen[0].low == seen[1].low


def test_what_is_not_a_pair_is_refused() -> None:
    reference, candidate = systems(8)
    with pytest.raises(ValueError, match="not pairs"):
        paired_bootstrap(reference, candidate[:7], mean_of_first, seed=1)
    with pytest.raises(ValueError, match="no sentences"):
        paired_bootstrap(reference[:0], candidate[:0], mean_of_first, seed=1)
    for options in ({"resamples": 0}, {"confidence": 0.0}, {"confidence": 1.0}):
        with pytest.raises(ValueError, match="out of range"):
            paired_bootstrap(reference, candidate, mean_of_first, seed=1, **options)
