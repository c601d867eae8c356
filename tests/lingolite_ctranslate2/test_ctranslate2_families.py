"""Families of models in CTranslate2: the log-probabilities of the reference, or a refusal by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.architecture.reference import Reference
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.routes import convert_with
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from tests.families import FAMILIES, family_bundle

ctranslate2 = pytest.importorskip("ctranslate2", reason='CTranslate2 is not installed: pip install -e ".[ctranslate2]"')

_REFUSED = {
    "firefox": "lacks decoder_recurrence ssru",
    "a recurrence without positions": "lacks decoder_recurrence ssru",
    "opus-mt of two vocabularies": "lacks source_vocab_size 59",
}


def _exported(bundle: Artifact, path: Path) -> Artifact:
    return convert_with(load_registry().resolve("exporter", "ctranslate2"), bundle, path)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in _REFUSED])
def test_log_probabilities_are_those_of_the_reference(tmp_path: Path, name: str) -> None:
    bundle = family_bundle(tmp_path / "bundle", name)
    pieces = open_tokenizer(bundle).pieces
    random = np.random.default_rng(6)
    source, target = random.integers(20, 300, (2, 7)), random.integers(20, 300, (2, 5))
    reference, mask = Reference(Weights.read(bundle)), np.ones(source.shape, np.bool_)
    read = np.concatenate([np.full((2, 1), IDS.start), target], axis=1)
    logits = reference.decode(read, reference.encode(source, mask), mask).astype(np.float64)
    shares = logits - np.log(np.exp(logits - logits.max(axis=2, keepdims=True)).sum(axis=2, keepdims=True))
    shares -= logits.max(axis=2, keepdims=True)
    predicted = np.concatenate([target, np.full((2, 1), IDS.end)], axis=1)
    expected = np.take_along_axis(shares, predicted[..., None], axis=2)[..., 0]
    translator = ctranslate2.Translator(str(_exported(bundle, tmp_path / "exported").path), compute_type="float32")
    scored = translator.score_batch(
        [[pieces[id] for id in row] for row in source], [[pieces[id] for id in row] for row in target]
    )
    found = np.array([result.log_probs for result in scored])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "lacking"), _REFUSED.items())
def test_what_the_engine_lacks_is_refused_by_name(tmp_path: Path, name: str, lacking: str) -> None:
    bundle = family_bundle(tmp_path / "bundle", name)
    with pytest.raises(LingoLiteError, match=lacking) as refusal:
        _exported(bundle, tmp_path / "exported")
    assert refusal.value.hint == "export with `--format onnx`"
    assert not (tmp_path / "exported").exists()
