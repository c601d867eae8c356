"""Parity against counting by hand, on two real backends whose weights differ a little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.parity import Parity, measure_parity
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import LANGUAGES, SENTENCES
from lingolite_cli.testing.routes import follow
from lingolite_cli.tokenizer import BOS_ID, Tokenizer

TEXTS = [*SENTENCES[:3], "", *SENTENCES[3:]]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The same model in float and in int8."""
    root: Path = tmp_path_factory.mktemp("parity")
    return {"cached": follow((), root), "int8": follow(("dynamic-int8",), root)}


@pytest.fixture(scope="module")
def tokenizer(bundles: dict[str, Artifact]) -> Tokenizer:
    return Tokenizer(bundles["cached"].tokenizer_path)


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


def by_hand(backend, bundle: Artifact, tokenizer: Tokenizer, reference: list, own: list) -> Parity:
    """One sentence and one token at a time."""
    num_tokens = num_agreed = 0
    margins = [0.0]
    for text, target in zip(TEXTS, reference, strict=True):
        source = tokenizer.encode_source(text, LANGUAGES, max_length=bundle.manifest.model.max_seq_len).ids
        state = backend.encode(np.array([source]), np.ones((1, len(source)), np.bool_))
        for fed, expected in zip((BOS_ID, *target[:-1]), target, strict=False):
            [logits] = backend.step(state, np.array([fed]))
            num_tokens += 1
            num_agreed += int(logits.argmax()) == expected
            margins.append(float(logits.max() - logits[expected]))
    return Parity(
        top1_agreement=num_agreed / num_tokens,
        exact_match=float(np.mean([one == other for one, other in zip(reference, own, strict=True)])),
        num_tokens=num_tokens,
        max_logit_margin=max(margins),
    )


def measure(backends, bundles, tokenizer, hypotheses, *, candidate: str, **settings) -> Parity:
    return measure_parity(
        backends[candidate],
        tokenizer,
        bundles[candidate].manifest.model,
        TEXTS,
        LANGUAGES,
        hypotheses["cached"],
        hypotheses[candidate],
        **settings,
    )


@pytest.mark.parametrize("settings", [{}, {"batch_size": 1}, {"batch_size": 3, "max_batch_tokens": 60}])
def test_parity_is_what_counting_gives(backends, bundles, tokenizer, hypotheses, settings: dict) -> None:
    parity = measure(backends, bundles, tokenizer, hypotheses, candidate="int8", **settings)
    expected = by_hand(backends["int8"], bundles["int8"], tokenizer, hypotheses["cached"], hypotheses["int8"])
    assert parity.top1_agreement == expected.top1_agreement
    assert parity.exact_match == expected.exact_match
    assert parity.num_tokens == expected.num_tokens == sum(map(len, hypotheses["cached"]))
    assert parity.max_logit_margin == pytest.approx(expected.max_logit_margin, abs=1e-4)
    assert 0.5 < parity.top1_agreement < 1
    assert parity.exact_match < 1
    assert parity.max_logit_margin > 0


def test_a_model_agrees_with_itself(backends, bundles, tokenizer, hypotheses) -> None:
    parity = measure(backends, bundles, tokenizer, hypotheses, candidate="cached")
    tokens = sum(map(len, hypotheses["cached"]))
    assert parity == Parity(top1_agreement=1.0, exact_match=1.0, num_tokens=tokens, max_logit_margin=0.0)


def test_a_token_that_is_only_as_good_as_a_smaller_id_does_not_rank_first(bundles, tokenizer) -> None:
    class Undecided:
        def encode(self, source_ids, source_mask):
            return None

        def step(self, state, tokens):
            return np.zeros((len(tokens), tokenizer.vocab_size), np.float32)

    model = bundles["cached"].manifest.model
    parity = measure_parity(Undecided(), tokenizer, model, ["no"], LANGUAGES, [(0, 7, 0, 0)], [(0, 0, 0, 0)])
    assert parity == Parity(top1_agreement=0.75, exact_match=0.0, num_tokens=4, max_logit_margin=0.0)


def test_parity_without_a_token_is_refused(backends, bundles, tokenizer) -> None:
    with pytest.raises(LingoLiteError, match="no token"):
        measure_parity(
            backends["cached"], tokenizer, bundles["cached"].manifest.model, ["", " "], LANGUAGES, [(), ()], [(), ()]
        )
