"""What a CTranslate2 model says besides its weights is held against the bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lingolite_ctranslate2.data import data_differences

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import convert_with, converter
from tests.lingolite_cli.evaluation.planted_data import edited
from tests.lingolite_cli.evaluation.planted_faults import plant


@pytest.fixture(scope="module")
def model(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small bundle as a CTranslate2 model."""
    return convert_with(converter("ctranslate2"), tiny, tmp_path_factory.mktemp("data") / "model")


FAULTS = [
    (edited("config.json", lambda one: one.update(eos_token="<pad>")), 'config.json: eos_token is "<pad>", not "</s>"'),
    (edited("config.json", lambda one: one.update(layer_norm_epsilon=1)), "config.json: layer_norm_epsilon is 1, not"),
    (
        edited("shared_vocabulary.json", lambda one: one.insert(20, one.pop(21))),
        "y.json: [20] is",
    ),
    (edited("shared_vocabulary.json", lambda one: one.pop()), "shared_vocabulary.json has "),
]


@pytest.mark.parametrize(("fault", "line"), FAULTS, ids=[line for _, line in FAULTS])
def test_a_configuration_or_a_vocabulary_that_is_not_the_bundles_is_named(
    fault: Callable[[Path], None], line: str, model: Artifact, tiny: Artifact, tmp_path: Path
) -> None:
    assert data_differences(model, tiny) == []
    assert line in data_differences(plant(model, tmp_path / "faulty", fault), tiny)[0]
