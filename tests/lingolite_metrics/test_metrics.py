"""The metrics against sacreBLEU's own command line and API."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lingolite_metrics import corpus_metric, lingolite_metrics
from lingolite_metrics.bleu import Bleu
from lingolite_metrics.chrf import Chrf
from lingolite_metrics.exact_match import ExactMatch
from lingolite_metrics.length_ratio import LengthRatio
from lingolite_metrics.options import (
    BleuOptions,
    ChrfOptions,
    ChrfppOptions,
    ExactMatchOptions,
    LengthRatioOptions,
    TerOptions,
)
from lingolite_metrics.ter import Ter
from sacrebleu.metrics import BLEU, CHRF, TER

from lingolite_cli.errors import LingoLiteError

HYPOTHESES = [
    "Katten sad på måtten, og hunden sov.",
    "Filen kunne ikke findes i mappen.",
    "Vælg et sprog til grænsefladen",
    "<b>Annullér</b> overførslen?",
    "det er ikke muligt at åbne vinduet nu",
]
FIRST = [
    "Katten sad på måtten, mens hunden sov.",
    "Filen blev ikke fundet i mappen.",
    "Vælg sproget for brugerfladen",
    "Vil du <b>annullere</b> overførslen?",
    "Det er ikke muligt at åbne vinduet nu.",
]
SECOND = [
    "Katten sad på en måtte, og hunden sov dér.",
    "Kunne ikke finde filen i mappen.",
    "Vælg grænsefladens sprog",
    "Annullér overførslen?",
    "Vinduet kan ikke åbnes nu.",
]

VARIANTS = [
    (Bleu(options=BleuOptions()), BLEU()),
    (Bleu(options=BleuOptions(lowercase=True, tokenize="intl")), BLEU(lowercase=True, tokenize="intl")),
    (Bleu(options=BleuOptions(smooth_method="none")), BLEU(smooth_method="none")),
    (Bleu(options=BleuOptions(smooth_method="floor")), BLEU(smooth_method="floor")),
    (
        Bleu(options=BleuOptions(smooth_method="add-k", smooth_value=0.3)),
        BLEU(smooth_method="add-k", smooth_value=0.3),
    ),
    (Chrf(options=ChrfOptions()), CHRF()),
    (Chrf(options=ChrfOptions(word_order=2, beta=3)), CHRF(word_order=2, beta=3)),
    (Chrf(options=ChrfOptions(char_order=4, whitespace=True)), CHRF(char_order=4, whitespace=True)),
    (Chrf(options=ChrfppOptions()), CHRF(word_order=2)),
    (Ter(options=TerOptions()), TER()),
    (Ter(options=TerOptions(case_sensitive=True, normalized=True)), TER(case_sensitive=True, normalized=True)),
]


@pytest.mark.parametrize(("ours", "theirs"), VARIANTS)
@pytest.mark.parametrize("references", [[FIRST], [FIRST, SECOND]])
def test_score_is_that_of_sacrebleu_to_the_last_bit(ours: Any, theirs: Any, references: list[list[str]]) -> None:
    score = ours.score(HYPOTHESES, references)
    assert score.value == theirs.corpus_score(HYPOTHESES, references).score
    assert score.signature == str(theirs.get_signature())


def test_figures_are_those_of_the_sacrebleu_command(tmp_path: Path) -> None:
    for name, lines in (("hyp", HYPOTHESES), ("a", FIRST), ("b", SECOND)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "a", "b", "-i", "hyp", "-m", "bleu", "chrf", "ter", "-w", "6"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    expected = json.loads(done.stdout)
    metrics = [Bleu(options=BleuOptions()), Chrf(options=ChrfOptions()), Ter(options=TerOptions())]
    for metric, entry in zip(metrics, expected, strict=True):
        score = metric.score(HYPOTHESES, [FIRST, SECOND])
        assert score.value == pytest.approx(entry["score"], abs=1e-6)
        assert score.signature == entry["signature"]


def test_bleu_details_are_precisions_brevity_penalty_and_lengths() -> None:
    score = Bleu(options=BleuOptions()).score(HYPOTHESES, [FIRST])
    theirs = BLEU().corpus_score(HYPOTHESES, [FIRST])
    assert [score.details[f"bleu_{n}"] for n in (1, 2, 3, 4)] == theirs.precisions
    assert score.details["bp"] == theirs.bp < 1.0
    assert (score.details["sys_len"], score.details["ref_len"]) == (theirs.sys_len, theirs.ref_len)


def random_corpus(*, seed: int, num_sentences: int) -> tuple[list[str], list[list[str]]]:
    """Hypotheses from a small vocabulary, so that n-grams of every order sometimes match."""
    generator = np.random.default_rng(seed)
    words = ["en", "kat", "hund", "sad", "Sov", "på", "måtten", "og", ".", ","]
    streams = [
        [" ".join(generator.choice(words, size=generator.integers(1, 9))) for _ in range(num_sentences)]
        for _ in range(3)
    ]
    return streams[0], streams[1:]


@pytest.mark.parametrize(("ours", "theirs"), VARIANTS)
def test_scores_from_statistics_are_those_of_sacrebleu(ours: Any, theirs: Any) -> None:
    hypotheses, references = random_corpus(seed=3, num_sentences=60)
    statistics = ours.statistics(hypotheses, references)
    generator = np.random.default_rng(5)
    # Rows alone hit every edge (no matches, no n-grams of an order); sums of several are the usual case.
    counts = np.concatenate([np.eye(60), generator.integers(0, 3, size=(40, 60)).astype(float)])
    totals = counts @ statistics
    expected = [theirs._compute_score_from_stats(row.tolist()).score for row in totals]
    np.testing.assert_allclose(ours.from_statistics(totals), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), VARIANTS)
def test_statistics_add_up_to_the_corpus_score(ours: Any, theirs: Any) -> None:
    hypotheses, references = random_corpus(seed=11, num_sentences=50)
    head = ours.statistics(hypotheses[:20], [stream[:20] for stream in references])
    tail = ours.statistics(hypotheses[20:], [stream[20:] for stream in references])
    totals = (head.sum(axis=0) + tail.sum(axis=0))[None, :]
    expected = theirs.corpus_score(hypotheses, references).score
    assert ours.from_statistics(totals)[0] == pytest.approx(expected, abs=1e-9)
    assert head.dtype == np.float64


def test_statistics_of_nothing_score_zero() -> None:
    for metric, width in ((VARIANTS[0][0], 10), (VARIANTS[5][0], 18), (VARIANTS[9][0], 2)):
        assert metric.from_statistics(np.zeros((1, width)))[0] == 0.0


def test_edits_against_empty_references_count_as_100() -> None:
    assert VARIANTS[9][0].from_statistics(np.array([[3.0, 0.0]]))[0] == 100.0


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        ([], [[]], "no hypotheses"),
        (HYPOTHESES, [], "no references"),
        (HYPOTHESES, [FIRST, SECOND[:4]], "5 hypotheses against 4 references"),
    ],
)
def test_what_cannot_be_scored_is_refused(hypotheses: list[str], references: list[list[str]], message: str) -> None:
    with pytest.raises(LingoLiteError, match=message):
        Chrf(options=ChrfOptions()).score(hypotheses, references)


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (BleuOptions, {"smooth_method": "exp", "smooth_value": 0.5}),
        (BleuOptions, {"tokenize": "ja-mecab"}),
        (ChrfOptions, {"char_order": 0}),
        (TerOptions, {"asian_support": True}),
        (TerOptions, {"beta": 2}),
    ],
)
def test_options_without_effect_or_meaning_are_refused(options: Any, given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, options)


def test_each_metric_has_its_goal() -> None:
    goals = {spec.name: spec.goal for spec in lingolite_metrics()}
    assert goals == {
        "bleu": "higher",
        "chrf": "higher",
        "chrfpp": "higher",
        "ter": "lower",
        "exact-match": "higher",
        "length-ratio": 100.0,
        "comet": "higher",
    }


def test_exact_match_counts_what_is_any_reference() -> None:
    hypotheses = [" Filen blev ikke fundet i mappen.", "Annullér overførslen?", "annullér Overførslen?", "", "Ja"]
    first = ["Filen blev ikke fundet i mappen. ", "nej", "nej", "nej", "Jo"]
    second = ["nej", "Annullér overførslen?", "Annullér overførslen?", "nej", "Ja!"]
    exact = ExactMatch(options=ExactMatchOptions())
    assert exact.score(hypotheses, [first, second]).value == pytest.approx(40.0)
    assert exact.score(hypotheses, [first]).value == pytest.approx(20.0)
    lowercase = ExactMatch(options=ExactMatchOptions(lowercase=True)).score(hypotheses, [first, second])
    assert lowercase.value == pytest.approx(60.0)
    assert lowercase.details == {"num_matches": 3.0}
    assert lowercase.signature == "nrefs:2|case:lc|metric:exact-match"


@pytest.mark.parametrize("references", [[FIRST], [FIRST, SECOND]])
def test_length_ratio_in_words_is_that_of_sacrebleu(references: list[list[str]]) -> None:
    theirs = BLEU(tokenize="none").corpus_score(HYPOTHESES, references)
    ours = LengthRatio(options=LengthRatioOptions(unit="words")).score(HYPOTHESES, references)
    assert ours.details == {"sys_len": theirs.sys_len, "ref_len": theirs.ref_len}
    assert ours.value == pytest.approx(100 * theirs.sys_len / theirs.ref_len)


def test_length_ratio_counts_characters() -> None:
    ratio = LengthRatio(options=LengthRatioOptions())
    assert ratio.score(["abc", " de "], [["abcd", "f"]]).value == pytest.approx(100.0)
    assert ratio.score(["abc"], [["abcd"]]).value == pytest.approx(75.0)
    assert ratio.score(["abc"], [[""]]).value == pytest.approx(300.0)


@pytest.mark.parametrize("metric", [ExactMatch(options=ExactMatchOptions()), LengthRatio(options=LengthRatioOptions())])
def test_metrics_of_our_own_refuse_what_cannot_be_scored(metric: Any) -> None:
    with pytest.raises(LingoLiteError, match="5 hypotheses against 4 references"):
        metric.score(HYPOTHESES, [FIRST, SECOND[:4]])


def test_descriptors_import_nothing_heavy() -> None:
    program = (
        "import sys, lingolite_metrics; lingolite_metrics.lingolite_metrics();"
        "print(sorted({'numpy', 'sacrebleu', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a tenth of their size, so that a corpus of several takes a tenth of the time."""
    monkeypatch.setattr(corpus_metric, "_BLOCK", 100)


def _corpus(size: int) -> tuple[list[str], list[list[str]]]:
    """Hypotheses, and two streams of references, of 4 to 16 words."""
    draw = random.Random(7)
    words = " ".join([*FIRST, *SECOND]).split()
    texts = [[" ".join(draw.choices(words, k=draw.randrange(4, 17))) for _ in range(size)] for _ in range(3)]
    return texts[0], texts[1:]


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (Bleu(options=BleuOptions()), BLEU()),
        (Chrf(options=ChrfOptions()), CHRF()),
        (Chrf(options=ChrfppOptions()), CHRF(word_order=2)),
        (Ter(options=TerOptions()), TER()),
    ],
    ids=["bleu", "chrf", "chrfpp", "ter"],
)
@pytest.mark.usefixtures("small_blocks")
def test_statistics_of_a_large_corpus_are_those_of_sacrebleu(metric: Any, reference: Any) -> None:
    """Taken in blocks, and the same numbers in the same order as of all sentences at once."""
    hypotheses, references = _corpus(130)
    rows = metric.statistics(hypotheses, references)
    assert rows.tolist() == reference._extract_corpus_statistics(hypotheses, references)
    score, expected = metric.score(hypotheses, references), reference.corpus_score(hypotheses, references)
    assert score.value == expected.score
    assert score.signature == str(reference.get_signature())


@pytest.mark.usefixtures("small_blocks")
def test_memory_of_statistics_does_not_grow_with_the_n_grams_of_a_corpus() -> None:
    """sacreBLEU holds those of all references at once: 25 kB a sentence, 10 MB here."""
    hypotheses, references = _corpus(400)
    metric = Chrf(options=ChrfOptions())
    tracemalloc.start()
    try:
        rows = metric.statistics(hypotheses, references[:1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.shape == (400, 18)
    assert peak < 5_000_000


def test_a_warning_of_tokenized_text_is_given_once(caplog: pytest.LogCaptureFixture) -> None:
    metric = Bleu(options=BleuOptions())
    texts = ["en kat ."] * 2500
    with caplog.at_level(logging.WARNING, logger="sacrebleu"):
        metric.score(texts, [texts])
        metric.statistics(texts, [texts])
    assert len(caplog.records) == 1
    assert "tokenized period" in caplog.text
