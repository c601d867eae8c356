"""Parity against counting by hand, on two real backends whose weights differ a little."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import torch

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.forced import forced_agreement
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.parity import Divergence, first_divergence
from lingolite_cli.evaluation.parity_measurement import ParitySettings, ParityText, draw_sample, measure_parity
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import LANGUAGES, SENTENCES
from lingolite_cli.testing.routes import follow
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

pytestmark = pytest.mark.expensive_fixture

TEXTS = [*SENTENCES[:3], "", *SENTENCES[3:]]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The same model in float and in int8."""
    root: Path = tmp_path_factory.mktemp("parity")
    return {"cached": follow((), root), "int8": follow(("dynamic-int8",), root)}


@pytest.fixture(scope="module")
def tokenizer(bundles: dict[str, Artifact]) -> Tokenizer:
    return open_tokenizer(bundles["cached"])


@pytest.fixture(scope="module")
def backends(bundles: dict[str, Artifact]) -> dict:
    registry = load_registry()
    return {name: registry.resolve("backend", name).create(bundle, threads=1) for name, bundle in bundles.items()}


@pytest.fixture(scope="module")
def hypotheses(bundles: dict[str, Artifact], backends: dict, tokenizer: Tokenizer) -> dict:
    """Each model's own greedy tokens."""
    model = bundles["cached"].manifest.model
    options = DecodingOptions(max_length=30)
    return {
        name: [
            translation.tokens
            for translation in Translator(backend, tokenizer, model, LANGUAGES, options=options).translate(TEXTS)
        ]
        for name, backend in backends.items()
    }


def text_of(tokenizer: Tokenizer, bundles: dict[str, Artifact], reference: list, own: list, **changes) -> ParityText:
    model = bundles["cached"].manifest.model
    sources = [tokenizer.encode_source(text, LANGUAGES, max_length=model.max_seq_len).ids for text in TEXTS]
    whole = ParityText(
        reference_sources=sources,
        candidate_sources=sources,
        reference_tokens=reference,
        candidate_tokens=own,
        candidate_positions=model.max_seq_len,
        ids=IDS,
        pieces=tokenizer.target_pieces,
    )
    return msgspec.structs.replace(whole, **changes)


class ByHand(NamedTuple):
    """An entry a forced token of one system, one sentence and one token at a time."""

    sentences: list[int]
    positions: list[int]
    tokens: list[int]
    logits: np.ndarray


def by_hand(backend, text: ParityText) -> ByHand:
    sentences, positions, tokens, rows = [], [], [], []
    for index, (source, target) in enumerate(zip(text.candidate_sources, text.reference_tokens, strict=True)):
        state = backend.encode(np.array([source]), np.ones((1, len(source)), np.bool_))
        for position, (fed, expected) in enumerate(zip((IDS.start, *target[:-1]), target, strict=False)):
            rows.append(backend.step(state, np.array([fed])).copy()[0])
            sentences.append(index)
            positions.append(position)
            tokens.append(expected)
    return ByHand(sentences, positions, tokens, np.array(rows, np.float64))


def kl(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    log_p, log_q = (torch.log_softmax(torch.from_numpy(logits), dim=1) for logits in (reference, candidate))
    return torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="none").sum(dim=1).numpy()


@pytest.mark.parametrize("settings", [{}, {"batch_size": 1}, {"batch_size": 3, "max_batch_tokens": 60}])
def test_parity_is_what_counting_gives(backends, bundles, tokenizer, hypotheses, settings: dict) -> None:
    text = text_of(tokenizer, bundles, hypotheses["cached"], hypotheses["int8"])
    parity = measure_parity(backends["int8"], text, reference=backends["cached"], settings=ParitySettings(**settings))
    seen, expected = (by_hand(backends[name], text) for name in ("int8", "cached"))
    tokens = np.array(seen.tokens)
    is_first = seen.logits.argmax(axis=1) == tokens
    assert parity.top1_agreement == is_first.mean()
    assert 0.5 < parity.top1_agreement < 1
    same = [one == other for one, other in zip(hypotheses["cached"], hypotheses["int8"], strict=True)]
    assert parity.exact_match == np.mean(same) < 1
    assert sum(one.num_sentences for one in parity.divergences) == len(same) - sum(same)
    assert parity.num_tokens == len(tokens) == sum(map(len, hypotheses["cached"]))
    margins = (seen.logits.max(axis=1) - seen.logits[np.arange(len(tokens)), tokens])[~is_first]
    assert parity.max_logit_margin == pytest.approx(margins.max(), abs=1e-4)

    distance = abs(seen.logits - expected.logits)
    kls = kl(expected.logits, seen.logits)
    logits = parity.logits
    assert (logits.num_sentences, logits.num_tokens) == (len(TEXTS) - 1, len(tokens))
    assert logits.max_logit == pytest.approx(abs(expected.logits).max(), abs=1e-4)
    assert logits.max_difference == pytest.approx(distance.max(), abs=1e-4)
    assert logits.mean_difference == pytest.approx(distance.mean(), abs=1e-5)
    for found, wanted in zip((logits.kl_mean, logits.kl_max), (kls.mean(), kls.max()), strict=True):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-6)
    assert logits.kl_p95 == pytest.approx(np.percentile(kls, 95), rel=1e-3, abs=1e-6)
    agreed = seen.logits.argmax(axis=1) == expected.logits.argmax(axis=1)
    assert logits.top1_agreement == agreed.mean()


def test_buckets_and_worst_sentences_are_what_sorting_by_hand_gives(backends, bundles, tokenizer, hypotheses) -> None:
    text = text_of(tokenizer, bundles, hypotheses["cached"], hypotheses["int8"])
    settings = ParitySettings(worst=2)
    logits = measure_parity(backends["int8"], text, reference=backends["cached"], settings=settings).logits
    seen, expected = (by_hand(backends[name], text) for name in ("int8", "cached"))
    kls = kl(expected.logits, seen.logits)
    positions, sentences = np.array(seen.positions), np.array(seen.sentences)
    assert [(one.first, one.last) for one in logits.by_position] == [(n, n) for n in range(positions.max() + 1)]
    for bucket in logits.by_position:
        chosen = positions == bucket.first
        assert bucket.num_tokens == chosen.sum()
        assert bucket.kl_mean == pytest.approx(kls[chosen].mean(), rel=1e-3, abs=1e-6)
        distance = abs(seen.logits - expected.logits)[chosen]
        assert bucket.max_difference == pytest.approx(distance.max(), abs=1e-4)
        assert bucket.mean_difference == pytest.approx(distance.mean(), abs=1e-5)
    lengths = np.array([len(text.reference_sources[index]) for index in sentences])
    for bucket in logits.by_source_length:
        assert bucket.last == bucket.first + 7
        chosen = (lengths >= bucket.first) & (lengths <= bucket.last)
        assert bucket.num_tokens == chosen.sum()
        assert bucket.kl_mean == pytest.approx(kls[chosen].mean(), rel=1e-3, abs=1e-6)
    means = {index: kls[sentences == index].mean() for index in set(sentences.tolist())}
    assert [one.index for one in logits.worst] == sorted(means, key=means.get, reverse=True)[:2]
    first = logits.worst[0]
    own = sentences == first.index
    assert first.worst_position == positions[own][kls[own].argmax()]
    assert first.num_source_tokens == len(text.reference_sources[first.index])
    pair = hypotheses["cached"][first.index], hypotheses["int8"][first.index]
    differing = [n for n, (one, other) in enumerate(zip(*pair, strict=False)) if one != other]
    assert first.first_divergence == (differing[0] if differing else None)


def test_a_model_agrees_with_itself(backends, bundles, tokenizer, hypotheses) -> None:
    text = text_of(tokenizer, bundles, hypotheses["cached"], hypotheses["cached"])
    parity = measure_parity(backends["cached"], text, reference=backends["cached"], settings=ParitySettings())
    assert (parity.top1_agreement, parity.exact_match, parity.divergences) == (1.0, 1.0, [])
    assert (parity.max_logit_margin, parity.logits.max_difference, parity.logits.kl_max) == (0.0, 0.0, 0.0)
    assert parity.causes == parity.not_measured == []


def test_without_a_reference_that_gives_logits_ranks_are_measured_alone(
    backends, bundles, tokenizer, hypotheses
) -> None:
    text = text_of(tokenizer, bundles, hypotheses["cached"], hypotheses["int8"])
    counted = []

    def count(source_ids, source_mask, *, targets, ids):
        counted.extend(targets)
        return forced_agreement(backends["int8"], source_ids, source_mask, targets=targets, ids=ids)

    parity = measure_parity(backends["int8"], text, reference=None, settings=ParitySettings(), count=count)
    assert sorted(counted) == sorted(filter(None, hypotheses["cached"]))  # by whoever has the logits
    whole = measure_parity(backends["int8"], text, reference=backends["cached"], settings=ParitySettings())
    assert (parity.top1_agreement, parity.max_logit_margin) == (whole.top1_agreement, whole.max_logit_margin)
    assert parity.logits is None
    assert parity.not_measured == ["differences of logits: the reference's backend gives none"]


def test_a_sample_has_all_lengths_and_the_longest_and_depends_on_the_seed() -> None:
    lengths = np.random.default_rng(3).permutation(np.arange(1, 101)).tolist()
    text = ParityText(
        reference_sources=[[5] * length for length in lengths],
        candidate_sources=[],
        reference_tokens=[(7,) * (length if length > 1 else 0) for length in lengths],
        candidate_tokens=[],
        candidate_positions=512,
        ids=IDS,
        pieces=[],
    )
    drawn = [draw_sample(text, ParitySettings(sample=20, seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    for sample in drawn:
        assert sample == sorted(set(sample))
        assert len(sample) == 20
        chosen = sorted(lengths[index] for index in sample)
        assert chosen[-4:] == [97, 98, 99, 100]
        assert all(2 + 5.9 * part <= length < 3 + 6 * (part + 1) for part, length in enumerate(chosen[:16]))
    assert len(draw_sample(text, ParitySettings(sample=200))) == 99  # the empty one has nothing to force


def test_tokens_beyond_the_candidates_positions_count_as_missed(backends, bundles, tokenizer, hypotheses) -> None:
    reference = [(9, 8, 7, 6, 5)] + [(7,)] * (len(TEXTS) - 1)
    text = text_of(tokenizer, bundles, reference, reference)
    settings = ParitySettings()
    full, cut = (
        measure_parity(
            backends["cached"],
            msgspec.structs.replace(
                text,
                candidate_positions=positions,
                ids=IDS,
                candidate_sources=[source[:positions] for source in text.reference_sources],
            ),
            reference=backends["cached"],
            settings=settings,
        )
        for positions in (512, 2)
    )
    assert full.num_tokens == cut.num_tokens == 5 + len(TEXTS) - 1
    assert (full.logits.num_tokens, cut.logits.num_tokens) == (full.num_tokens, full.num_tokens - 3)
    assert cut.top1_agreement <= full.top1_agreement
    assert (full.lengths.num_sources_cut, full.lengths.num_targets_beyond) == (0, 0)
    assert (cut.lengths.num_sources_cut, cut.lengths.num_targets_beyond) == (len(TEXTS), 1)


def test_a_token_that_is_only_as_good_as_a_smaller_id_does_not_rank_first(bundles, tokenizer) -> None:
    class Undecided:
        def encode(self, source_ids, source_mask):
            return None

        def step(self, state, tokens):
            return np.zeros((len(tokens), len(tokenizer.target_pieces)), np.float32)

        def select(self, state, rows):
            return None

    text = ParityText(
        reference_sources=[[4, 5, 6]],
        candidate_sources=[[4, 5, 6]],
        reference_tokens=[(0, 7, 0, 0)],
        candidate_tokens=[(0, 0, 0, 0)],
        candidate_positions=512,
        ids=IDS,
        pieces=[],
    )
    parity = measure_parity(Undecided(), text, reference=None, settings=ParitySettings())
    assert (parity.top1_agreement, parity.exact_match, parity.max_logit_margin) == (0.75, 0.0, 0.0)
    assert parity.divergences == [Divergence(position=1, num_sentences=1)]


def test_parity_without_a_token_is_refused(backends, bundles, tokenizer) -> None:
    empty = [()] * len(TEXTS)
    text = text_of(tokenizer, bundles, empty, empty)
    with pytest.raises(LingoLiteError, match="no token"):
        measure_parity(backends["cached"], text, reference=None, settings=ParitySettings())


def test_logits_that_are_not_finite_are_refused(backends, bundles, tokenizer, hypotheses) -> None:
    class Broken:
        def __getattr__(self, name):
            return getattr(backends["cached"], name)

        def step(self, state, tokens):
            logits = backends["cached"].step(state, tokens).copy()
            logits[0, 3] = np.nan
            return logits

    text = text_of(tokenizer, bundles, hypotheses["cached"], hypotheses["cached"])
    with pytest.raises(LingoLiteError, match="not finite"):
        measure_parity(Broken(), text, reference=backends["cached"], settings=ParitySettings())


@pytest.mark.parametrize(
    ("candidate", "position"), [((4, 5, 2), None), ((4, 6, 2), 1), ((4, 5), 2), ((4, 5, 2, 2), 3), ((), 0)]
)
def test_the_first_divergence_is_where_tokens_or_lengths_differ(candidate: tuple, position: int | None) -> None:
    assert first_divergence((4, 5, 2), candidate) == position
