"""Families of models in CTranslate2: the log-probabilities of the reference, or a refusal by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.weights.bundle import Weights
from tests.families import FAMILIES

ctranslate2 = pytest.importorskip("ctranslate2", reason='CTranslate2 is not installed: pip install -e ".[ctranslate2]"')

_RECURRENT = [name for name in FAMILIES if FAMILIES[name].decoder_recurrence == "ssru"]


def _specification(weights: Weights) -> tuple[object, list[str], list[str]]:
    """The specification, and the vocabularies of sources and targets."""
    from lingolite_ctranslate2.specification import transformer_spec

    config = weights.config
    target = ["<pad>", "<s>", "</s>", "<unk>", *(f"t{id}" for id in range(4, config.vocab_size))]
    is_shared = config.source_vocab_size is None
    source = target if is_shared else [*target[:4], *(f"s{id}" for id in range(4, config.num_source_tokens))]
    spec = transformer_spec(weights, config, target, source_pieces=source, ids=LINGOLITE.ids)
    return spec, source, target


def _expected(weights: Weights, source: Array, target: Array) -> Array:
    """[B, T + 1] log-probabilities of the targets and of the end token after them."""
    ids, mask = LINGOLITE.ids, np.ones(source.shape, np.bool_)
    reference = Reference(weights)
    read = np.concatenate([np.full((len(target), 1), ids.start), target], axis=1)
    logits = reference.decode(read, reference.encode(source, mask), mask).astype(np.float64)
    shares = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    predicted = np.concatenate([target, np.full((len(target), 1), ids.end)], axis=1)
    found: Array = np.take_along_axis(shares, predicted[..., None], axis=2)[..., 0]
    return found


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in _RECURRENT])
def test_log_probabilities_are_those_of_the_reference(tmp_path: Path, name: str) -> None:
    architecture: Architecture = FAMILIES[name]
    weights = Weights(architecture, random_weights(architecture, seed=5))
    spec, source_pieces, target_pieces = _specification(weights)
    spec.save(str(tmp_path))
    random = np.random.default_rng(6)
    source, target = random.integers(4, architecture.num_source_tokens, (2, 7)), random.integers(4, 67, (2, 5))
    translator = ctranslate2.Translator(str(tmp_path), compute_type="float32")
    scored = translator.score_batch(
        [[source_pieces[id] for id in row] for row in source], [[target_pieces[id] for id in row] for row in target]
    )
    found, expected = np.array([result.log_probs for result in scored]), _expected(weights, source, target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", _RECURRENT)
def test_what_the_engine_lacks_is_refused_by_name(name: str) -> None:
    weights = Weights(FAMILIES[name], random_weights(FAMILIES[name], seed=5))
    with pytest.raises(LingoLiteError, match=r"CTranslate2 .* lacks decoder_recurrence ssru") as refusal:
        _specification(weights)
    assert refusal.value.hint == "export with `--format onnx`"
