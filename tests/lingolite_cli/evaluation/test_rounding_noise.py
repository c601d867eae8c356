"""What last bits of float32 explain in an int8 network: computed from its bundle, not from the file that is judged."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from lingolite_cli.architecture.arithmetic import FLOAT32_ERROR, Arithmetic
from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Progress
from lingolite_cli.evaluation.exported_measurement import ExportedText, compare_end_to_end
from lingolite_cli.evaluation.rounding_noise import explained_mean, moved_rounding
from lingolite_cli.plugins.interfaces import Backend
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.weights.bundle import Weights

SOURCES = [[20, 31, 42, 7], [55, 12, 90], [33, 34, 35, 36, 37, 38]]
TEXT = ExportedText(
    sources=SOURCES, tokens=[list(range(40, 40 + 2 * len(source))) for source in SOURCES], positions=64, ids=IDS
)
STATED = Arithmetic(name="of this test", rounding=1e-4, kl_max=1e-12, quotient_error=FLOAT32_ERROR, parity_min=0.99)


@pytest.fixture(scope="module")
def rounded(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return convert_with(converter("dynamic-int8"), tiny, tmp_path_factory.mktemp("int8") / "bundle")


@pytest.fixture(scope="module")
def of_other_weights(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A file of the float bundle, held against the int8 one: all of int8's loss is a fault of it."""
    exported = convert_with(converter("onnx"), tiny, tmp_path_factory.mktemp("file") / "onnx")
    backend = load_registry().resolve("backend", "onnx").create(exported, options={}, threads=1)
    yield backend
    backend.close()


def test_only_a_quotient_between_two_levels_is_rounded_otherwise() -> None:
    between = np.nextafter(np.float32(70.5), np.float32(0))
    quotients = np.array([[3.2, -100.9, 12.49, 0.0, between]] * 64, np.float32)
    found = moved_rounding(FLOAT32_ERROR)("any", quotients)
    np.testing.assert_array_equal(found[:, :4], np.rint(quotients[:, :4]))
    assert set(found[:, 4].tolist()) == {70.0, 71.0}
    np.testing.assert_array_equal(found, moved_rounding(FLOAT32_ERROR)("any", quotients))


def test_the_bound_holds_for_most_draws_of_sentences_and_is_the_mean_where_all_are_alike() -> None:
    assert explained_mean([2.0, 4.0, 6.0], [1, 2, 3]) == pytest.approx(2)
    assert explained_mean([3.0], [6]) == pytest.approx(0.5)
    generator = np.random.default_rng(4)
    counts = generator.integers(5, 40, (400, 2, 30))
    sums = generator.exponential(1e-3, counts.shape) * counts
    means = sums[:, 1].sum(axis=1) / counts[:, 1].sum(axis=1)
    bounds = np.array([explained_mean(*draw) for draw in zip(sums[:, 0].tolist(), counts[:, 0].tolist(), strict=True)])
    assert (means <= bounds).mean() > 0.96
    assert np.median(bounds / means) < 2.5


def test_a_fault_of_the_file_explains_nothing_of_itself(rounded: Artifact, of_other_weights: Backend) -> None:
    weights = Weights.read(rounded)
    found = compare_end_to_end(of_other_weights, TEXT, weights, STATED, progress=Progress())
    assert found.logits is not None
    assert found.explained_kl is not None
    assert found.explained_kl < found.logits.kl_mean / 2
    without = msgspec.structs.replace(STATED, quotient_error=0.0)
    assert compare_end_to_end(of_other_weights, TEXT, weights, without, progress=Progress()).explained_kl is None


def test_rows_with_zero_points_are_moved_as_well(rounded: Artifact, of_other_weights: Backend) -> None:
    shifted = msgspec.structs.replace(STATED, has_zero_points=True, quotient_error=1e-3)
    found = compare_end_to_end(of_other_weights, TEXT, Weights.read(rounded), shifted, progress=Progress())
    assert found.explained_kl is not None
    assert found.explained_kl > 1e-6


def test_what_the_engine_states_for_any_network_needs_no_explanation(
    rounded: Artifact, of_other_weights: Backend
) -> None:
    stated = msgspec.structs.replace(STATED, kl_max=1.0)
    found = compare_end_to_end(of_other_weights, TEXT, Weights.read(rounded), stated, progress=Progress())
    assert found.explained_kl is None
