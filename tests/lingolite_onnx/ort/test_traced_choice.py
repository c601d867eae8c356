"""The best next tokens that decoders give a search are compared with their own logits, decoder by decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.operation_comparison import OperationReading
from lingolite_cli.evaluation.top_k_comparison import compare_top_k
from lingolite_cli.plugins.interfaces import ForcedTokens
from lingolite_cli.plugins.registry import load_registry
from tests.lingolite_cli.evaluation import planted_graphs
from tests.lingolite_cli.evaluation.planted_faults import plant

DECODERS = ["optimized", "optimized_batch", "optimized_shortlist", "optimized_shortlist_batch"]


def readings(bundle: Artifact, artifact: Artifact) -> dict[str, OperationReading]:
    """What is found of each decoder's choice."""
    backend = load_registry().resolve("backend", "onnx").create(artifact, options={}, threads=1)
    source_ids = np.array([[20, 31, 22, 43], [14, 27, 2, 2]])
    tokens = ForcedTokens(source_ids=source_ids, source_mask=source_ids != 2, target_ids=np.array([[1, 30], [1, 19]]))
    traces = backend.trace(tokens, bundle=bundle)
    backend.close()
    return {trace.part: compare_top_k(trace, rounding=0.01)[0] for trace in traces}


def forget_probabilities(node: onnx.NodeProto) -> bool:
    """Logits in the place of log-probabilities."""
    is_found = node.op_type == "LogSoftmax"
    if is_found:
        node.op_type = "Identity"
        del node.attribute[:]
    return is_found


@pytest.mark.parametrize(
    ("fault", "parts", "how"),
    [
        (planted_graphs.set_attribute("decoder", "TopK", "largest", 0), DECODERS, "rank first"),
        (planted_graphs.set_attribute("decoder_optimized_batch", "TopK", "largest", 0), DECODERS[1:2], "rank first"),
        (lambda directory: planted_graphs.edit_nodes(directory, "decoder", forget_probabilities), DECODERS, "nats"),
    ],
    ids=["worst tokens", "worst tokens for many rows", "logits in the place of log-probabilities"],
)
def test_a_wrong_choice_among_right_logits_is_named(
    fault: planted_graphs.Fault,
    parts: list[str],
    how: str,
    wide_bundles: dict[str, Artifact],
    shortlisted: Callable[..., Artifact],
    tmp_path: Path,
) -> None:
    bundle, artifact = wide_bundles["bundle-int8"], shortlisted("bundle-int8")
    unharmed = readings(bundle, artifact)
    assert list(unharmed) == DECODERS
    assert all(reading.difference is None for reading in unharmed.values())
    found = readings(bundle, plant(artifact, tmp_path / "faulty", fault))
    wrong = {part: reading.difference for part, reading in found.items() if reading.difference is not None}
    assert list(wrong) == parts
    assert all(one.operation == "top_k" and one.times > 1 and how in one.how for one in wrong.values())
