"""Token cross-entropy by backends against that of training."""

from __future__ import annotations

import pytest
from lingolite_torch.backends import CachedBackend
from lingolite_torch.options import TorchOptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.cross_entropy import token_cross_entropy
from lingolite_cli.model import load_model
from lingolite_cli.testing import SENTENCES
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.training.reading import examples_of
from lingolite_cli.training.validation import mean_cross_entropy


@pytest.mark.parametrize("capabilities", [frozenset[str](), frozenset({"score"})], ids=["steps", "score"])
def test_it_is_the_cross_entropy_that_training_reports(tiny: Artifact, capabilities: frozenset[str]) -> None:
    tokenizer, model = open_tokenizer(tiny), tiny.manifest.model
    references = [*SENTENCES[2:], "", "Ja."]
    examples = examples_of(SENTENCES, references, tokenizer, languages=("en", "da"), positions=model.max_seq_len)
    backend = CachedBackend(tiny, options=TorchOptions(), threads=1)
    found = token_cross_entropy(
        backend,
        tokenizer,
        model,
        ("en", "da"),
        sources=SENTENCES,
        references=references,
        capabilities=capabilities,
        batch_size=3,
    )
    assert found == pytest.approx(mean_cross_entropy(load_model(tiny), examples), rel=1e-5)
