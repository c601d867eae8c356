"""Ranks against the bundle: tokens that rounding may exchange are no disagreement, and all others are one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Progress
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.forced import forced_steps
from lingolite_cli.evaluation.exported_measurement import ExportedText, compare_end_to_end
from lingolite_cli.evaluation.logit_comparison import compare_logits, kl_divergence, ranks_first
from lingolite_cli.plugins.interfaces import Backend
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.weights.bundle import Weights

REFERENCE = np.array(
    [[0.0, 2.0, 1.96, -1.0], [0.0, 2.0, 1.94, -1.0], [3.0, 3.0, 0.0, 0.0], [0.0, 5.0, 1.0, -1.0]], "f4"
)
"""Leads of the first token over the second: 0.04, 0.06, none, 4."""


def declared(kl_max: float) -> Arithmetic:
    return Arithmetic(name="of this test", rounding=1e-4, kl_max=kl_max, parity_min=0.99)


@pytest.mark.parametrize(
    ("kl_max", "agreed"), [(1e-6, [False, False, False, False]), (1e-3, [True, False, True, False])]
)
def test_a_token_agrees_that_the_reference_puts_behind_by_less_than_the_declared_rounding(
    kl_max: float, agreed: list[bool]
) -> None:
    others = np.array([2, 2, 1, 2])
    near_tie = declared(kl_max).near_tie
    agreed[2] = True  # exactly level, which any rounding exchanges
    assert ranks_first(REFERENCE, others, near_tie=near_tie).tolist() == agreed
    assert ranks_first(REFERENCE, np.array([1, 1, 0, 1]), near_tie=near_tie).all()


def test_against_the_float_model_a_near_tie_is_a_disagreement() -> None:
    exchanged = REFERENCE[:, [0, 2, 1, 3]]
    assert compare_logits(REFERENCE, exchanged).is_agreed.tolist() == [False, False, True, False]
    assert not ranks_first(REFERENCE, np.array([2, 2, 1, 2])).any()


def test_a_token_that_may_never_be_generated_agrees_with_nothing() -> None:
    reference = REFERENCE.copy()
    reference[:, 2] = -np.inf
    assert not ranks_first(reference, np.full(4, 2), near_tie=declared(0.5).near_tie).any()


def test_a_divergence_exchanges_no_two_tokens_whose_probabilities_differ_by_more_than_the_rule_allows() -> None:
    generator = np.random.default_rng(5)
    reference = generator.normal(size=(4000, 7)).astype(np.float32)
    candidate = reference + generator.normal(scale=0.3, size=reference.shape).astype(np.float32)
    rows, first, other = np.arange(len(reference)), reference.argmax(axis=1), candidate.argmax(axis=1)
    shares = np.exp(reference) / np.exp(reference).sum(axis=1, keepdims=True)
    lost = shares[rows, first] - shares[rows, other]
    allowed = np.array([declared(float(kl)).near_tie for kl in kl_divergence(reference, candidate)])
    assert (first != other).sum() > 300
    assert (lost <= allowed).all()
    assert ranks_first(reference, other, near_tie=0.045)[lost >= 0.045].sum() == (first == other)[lost >= 0.045].sum()


SOURCES = [[20, 31, 42, 7], [55, 12, 90], [33, 34, 35, 36, 37, 38]]


@pytest.fixture(scope="module")
def rounded(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """The int8 bundle, whose logits differ from those of the float file."""
    return Weights.read(convert_with(converter("dynamic-int8"), tiny, tmp_path_factory.mktemp("int8") / "bundle"))


@pytest.fixture(scope="module")
def file(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A file of the float bundle."""
    path: Path = tmp_path_factory.mktemp("file") / "onnx"
    backend = (
        load_registry()
        .resolve("backend", "onnx")
        .create(convert_with(converter("onnx"), tiny, path), options={}, threads=1)
    )
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def text() -> ExportedText:
    targets = [list(range(40, 40 + 2 * len(source))) for source in SOURCES]
    return ExportedText(sources=SOURCES, tokens=targets, positions=64, ids=IDS)


@pytest.fixture(scope="module")
def logits(rounded: Weights, text: ExportedText) -> np.ndarray:
    """[B, T, V] the bundle's."""
    source = pad(SOURCES, IDS.pad)
    read, _ = pad([[IDS.start, *IDS.prefix, *target[:-1]] for target in text.tokens], IDS.pad)
    reference = Reference(rounded)
    found: np.ndarray = reference.decode(read, reference.encode(*source), source[1])[:, len(IDS.prefix) :]
    return found


def assert_counted(candidate: Backend | None, leads: np.ndarray, text: ExportedText, weights: Weights) -> None:
    """Limits around the middle one of the leads, and around the largest."""
    assert (leads > 0).sum() > 2
    for lead in (np.quantile(leads[leads > 0], 0.5, method="lower"), leads.max()):
        for factor in (0.99, 1.01):
            kl_max = float(factor * lead**2 / 2)
            found = compare_end_to_end(candidate, text, weights, declared(kl_max), progress=Progress())
            expected = (leads == 0) | (leads**2 / 2 < kl_max)
            assert found.agreement == pytest.approx(expected.mean())


def test_the_share_of_a_file_counts_what_the_declared_rounding_exchanges(
    logits: np.ndarray, text: ExportedText, rounded: Weights, file: Backend
) -> None:
    leads = []
    for step in forced_steps(file, *pad(SOURCES, IDS.pad), targets=text.tokens, ids=IDS):
        own = logits[step.rows, step.position]
        leads += (own.max(axis=1) - own[np.arange(len(own)), step.logits.argmax(axis=1)]).tolist()
    assert_counted(file, np.array(leads), text, rounded)


def test_so_does_that_of_an_engine_without_logits(logits: np.ndarray, text: ExportedText, rounded: Weights) -> None:
    own = [row[np.arange(len(ids)), list(ids)] for row, ids in zip(logits, text.tokens, strict=True)]
    best = [row[: len(ids)].max(axis=1) for row, ids in zip(logits, text.tokens, strict=True)]
    leads = np.concatenate(best) - np.concatenate(own)
    assert_counted(None, leads, text, rounded)
