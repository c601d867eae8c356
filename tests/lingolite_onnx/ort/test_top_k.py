"""The best tokens as the graph chooses them, against the host's own choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lingolite_onnx.graph import GraphBuilder, WeightFile
from lingolite_onnx.interface import Interface, Value
from lingolite_onnx.ort.top_k import add_top_k, add_top_k_by_blocks
from lingolite_onnx.session.sessions import open_session

from lingolite_cli.decoding.continuations import top_k


def chosen(directory: Path, logits: np.ndarray, k: int, *, by_blocks: bool) -> tuple[np.ndarray, np.ndarray]:
    graph = GraphBuilder("candidates", WeightFile(directory / "none.bin"))
    vocab_size = logits.shape[1]
    if by_blocks:
        add_top_k_by_blocks(graph, "logits", vocab_size=vocab_size)
    else:
        add_top_k(graph, "logits")
    inputs = [Value("logits", "float32", ("rows", 1, vocab_size), ""), Value("k", "int64", (1,), "")]
    outputs = [
        Value("top_ids", "int64", ("rows", 1, "k"), ""),
        Value("top_log_probabilities", "float32", ("rows", 1, "k"), ""),
    ]
    model = graph.model(Interface(inputs, outputs), opset_version=18)
    session = open_session(model.SerializeToString(), threads=1)
    ids, log_probabilities = session.run(None, {"logits": logits[:, None], "k": np.array([k])})
    return ids[:, 0], log_probabilities[:, 0]


@pytest.mark.parametrize("by_blocks", [False, True])
@pytest.mark.parametrize("k", [1, 2, 7, 40])
@pytest.mark.parametrize("levels", [3, 100_000])
@pytest.mark.parametrize("vocab_size", [61, 1280, 8000])
def test_candidates_are_those_of_the_host(
    tmp_path: Path, by_blocks: bool, k: int, levels: int, vocab_size: int
) -> None:
    """With three levels nearly all logits tie; 61 is of no whole blocks, and 1280 has five of them."""
    random = np.random.default_rng(k)
    logits = random.integers(0, levels, (5, vocab_size)).astype(np.float32) * np.float32(20 / levels)
    ids, log_probabilities = chosen(tmp_path, logits, k, by_blocks=by_blocks)
    wanted_ids, wanted = top_k(logits, k)
    np.testing.assert_array_equal(ids, wanted_ids)
    np.testing.assert_allclose(log_probabilities, wanted, rtol=0, atol=1e-5)
