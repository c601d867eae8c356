"""The backend beyond its contract: limits, providers and warnings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.session.saturation import int8_is_exact

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT8
from lingolite_cli.errors import ExitCode, LingoLiteError

LAST_TOKENS = np.array([1, 9, 30])


def opened(artifact: Any, **options: Any) -> OnnxBackend:
    return OnnxBackend(artifact, options=OnnxBackendOptions(**options), threads=1)


@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_INT8])
def test_a_padded_row_has_the_logits_it_has_alone(exported: Any, expected: dict[str, Any], format: str) -> None:
    backend, mask = opened(exported(format)), expected["source_mask"].astype(np.bool_)
    together = backend.encode(expected["source_ids"], mask)
    for row, length in enumerate(mask.sum(axis=1)):
        alone = backend.encode(expected["source_ids"][row : row + 1, :length], mask[row : row + 1, :length])
        state = backend.select(together, np.arange(3))
        for column in expected["target_ids"].T:
            found = backend.step(alone, column[row : row + 1])[0]
            np.testing.assert_allclose(found, backend.step(state, column)[row], rtol=0, atol=1e-4)


def test_a_row_of_padding_only_stays_finite(exported: Any, expected: dict[str, Any]) -> None:
    mask = expected["source_mask"].astype(np.bool_)
    mask[1] = False
    backend = opened(exported(BUNDLE))
    assert np.isfinite(backend.step(backend.encode(expected["source_ids"], mask), LAST_TOKENS)).all()


@pytest.mark.parametrize("rows", [[2, 0], [1, 1, 2, 0], [0, 1, 2]], ids=["drop", "repeat", "keep"])
def test_selected_rows_go_on_where_they_stood(exported: Any, expected: dict[str, Any], rows: list[int]) -> None:
    backend, mask = opened(exported(BUNDLE)), expected["source_mask"].astype(np.bool_)
    states = [backend.encode(expected["source_ids"], mask) for _ in range(2)]
    for column in expected["target_ids"].T[:3]:
        for state in states:
            backend.step(state, column)
    selected = backend.select(states[0], np.array(rows))
    for column in expected["target_ids"].T[3:]:
        found, whole = backend.step(selected, column[rows]), backend.step(states[1], column)
        np.testing.assert_allclose(found, whole[rows], rtol=0, atol=1e-5)


def test_beams_of_one_sentence_share_its_cross_attention(exported: Any, expected: dict[str, Any]) -> None:
    backend, mask = opened(exported(BUNDLE)), expected["source_mask"].astype(np.bool_)
    beams = backend.select(backend.encode(expected["source_ids"], mask), np.array([0, 0, 1, 1]))
    reordered = backend.select(beams, np.array([1, 0, 3, 3]))
    crossed = backend.select(beams, np.array([2, 0, 1, 1]))
    assert reordered.source["cross_key_0"] is beams.source["cross_key_0"]
    np.testing.assert_array_equal(crossed.source["cross_key_0"], beams.source["cross_key_0"][[2, 0, 1, 1]])


def test_a_step_beyond_the_positions_is_refused(exported: Any) -> None:
    backend = opened(exported(BUNDLE, max_seq_len=6))
    assert backend.max_seq_len == 6
    state = backend.encode(np.array([[5, 6]]), np.ones((1, 2), dtype=np.bool_))
    for _ in range(6):
        backend.step(state, np.array([1]))
    with pytest.raises(LingoLiteError, match="target token 7 lies beyond the 6 positions") as caught:
        backend.step(state, np.array([1]))
    assert "--max-seq-len" in str(caught.value.hint)


def test_a_source_beyond_the_positions_is_refused(exported: Any) -> None:
    backend = opened(exported(BUNDLE, max_seq_len=6))
    with pytest.raises(LingoLiteError, match="source of 7 tokens lies beyond the 6 positions"):
        backend.encode(np.ones((1, 7), dtype=np.int64), np.ones((1, 7), dtype=np.bool_))


def test_an_unavailable_provider_is_refused_with_those_available(exported: Any) -> None:
    with pytest.raises(LingoLiteError, match="no execution provider `abacus`") as caught:
        opened(exported(BUNDLE), provider="abacus")
    assert caught.value.exit_code == ExitCode.PLUGIN
    assert "CPUExecutionProvider" in str(caught.value.hint)


@pytest.mark.parametrize("provider", ["cpu", "CPU", "CPUExecutionProvider"])
def test_a_provider_is_known_by_its_short_and_its_full_name(exported: Any, provider: str) -> None:
    opened(exported(BUNDLE), provider=provider).close()


def test_the_warnings_of_an_int8_artifact_are_those_of_the_probe(exported: Any) -> None:
    warning = int8_is_exact(1).warning
    assert opened(exported(BUNDLE_INT8)).warnings == ([warning] if warning else [])
    assert opened(exported(BUNDLE)).warnings == []
