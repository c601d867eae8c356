"""Paired bootstrap: against sacreBLEU's own paired test, a closed form, and its edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from lingolite_metrics.bleu import Bleu
from lingolite_metrics.chrf import Chrf
from lingolite_metrics.options import BleuOptions, ChrfOptions
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from lingolite_cli.evaluation import statistics
from lingolite_cli.evaluation.statistics import paired_bootstrap

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
    monkeypatch.setattr(statistics, "_CHUNK_CELLS", 53 * 7)
    assert paired_bootstrap(reference, candidate, mean_of_first, resamples=300, seed=9) == whole
    assert paired_bootstrap(reference, candidate, mean_of_first, resamples=300, seed=10) != whole


def test_system_against_itself_has_an_interval_of_zero() -> None:
    reference, _ = systems(40)
    interval = paired_bootstrap(reference, reference, mean_of_first, seed=1)
    assert (interval.delta, interval.low, interval.high) == (0.0, 0.0, 0.0)


def corpus(num_sentences: int) -> tuple[list[str], list[str], list[str]]:
    """A reference, a system that loses 8 % of its words and one that loses 12 %."""
    generator = np.random.default_rng(4)
    words = [f"{a}{b}" for a in ("ka", "hu", "må", "sø", "ru") for b in ("t", "nd", "ne", "de", "lle", "s")]

    def lose(sentence: str, share: float) -> str:
        kept = [word for word in sentence.split() if generator.random() > share]
        return " ".join(kept) or words[0]

    references = [" ".join(generator.choice(words, generator.integers(5, 20))) for _ in range(num_sentences)]
    return references, [lose(text, 0.08) for text in references], [lose(text, 0.12) for text in references]


def test_agrees_with_the_paired_test_of_sacrebleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "77")
    references, better, worse = corpus(200)
    theirs = PairedTest(
        [("better", better), ("worse", worse)],
        {"BLEU": BLEU(), "chrF2": CHRF()},
        references=[references],
        test_type="bs",
        n_samples=1000,
    )()[1]
    for name, metric in (("BLEU", Bleu(options=BleuOptions())), ("chrF2", Chrf(options=ChrfOptions()))):
        first, second = (metric.statistics(system, [references]) for system in (better, worse))
        interval = paired_bootstrap(first, second, metric.from_statistics, resamples=4000, seed=3)
        expected = theirs[name][1].score - theirs[name][0].score
        assert interval.delta == pytest.approx(expected, abs=1e-9)
        is_significant = theirs[name][1].p_value < 0.05
        assert (interval.high < 0.0) == is_significant
        # sacreBLEU gives the interval of one system, not of the difference: against a reference system
        # whose score never changes, ours is the same. Monte-Carlo error: 5 % of the half-width, and some.
        perfect = metric.statistics(references, [references])
        alone = paired_bootstrap(perfect, second, metric.from_statistics, resamples=4000, seed=3)
        half_width = (alone.high - alone.low) / 2
        assert half_width == pytest.approx(theirs[name][1].ci, rel=0.12)


def test_what_is_not_a_pair_is_refused() -> None:
    reference, candidate = systems(8)
    with pytest.raises(ValueError, match="not pairs"):
        paired_bootstrap(reference, candidate[:7], mean_of_first, seed=1)
    with pytest.raises(ValueError, match="no sentences"):
        paired_bootstrap(reference[:0], candidate[:0], mean_of_first, seed=1)
    for options in ({"resamples": 0}, {"confidence": 0.0}, {"confidence": 1.0}):
        with pytest.raises(ValueError, match="out of range"):
            paired_bootstrap(reference, candidate, mean_of_first, seed=1, **options)
