"""Runs the graphs of the portable profile on a sample and records the integers that activations were rounded to.

These graphs round in nodes of their own, so their integers are tensors that can be made outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import MIDDLE
from lingolite_onnx.checks.constants import scalar
from lingolite_onnx.checks.samples import Recording, Sample
from lingolite_onnx.interface import LOGITS
from lingolite_onnx.naming import PRODUCT, SUMS, matrices_of
from lingolite_onnx.portable.interface import POSITION
from lingolite_onnx.portable.runner import empty_cache
from lingolite_onnx.session.saturation import int8_is_exact
from lingolite_onnx.session.sessions import open_session


def record_portable(encoder: Path, decoder: Path, sample: Sample) -> Recording:
    """Run a pair of graphs, the decoder one token a step."""
    encoding, decoding = _RecordingSession(encoder), _RecordingSession(decoder)
    cross, integers = encoding.run({"source_ids": sample.source_ids, "source_mask": sample.source_mask})
    fed = {"source_mask": sample.source_mask, **cross}
    past = decoding.empty_past(len(sample.source_ids))
    logits: list[Array] = []
    steps: list[dict[str, Array]] = []
    for position, tokens in enumerate(np.ascontiguousarray(sample.target_ids.T)):
        outputs, step = decoding.run({"tokens": tokens, POSITION: np.array([position]), **fed, **past})
        logits.append(outputs.pop(LOGITS))
        past = {name.replace("present", "past"): array for name, array in outputs.items()}
        steps.append(step)
    decoded = {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    return Recording(np.stack(logits, axis=1), {**integers, **decoded})


class _RecordingSession:
    """A graph whose quantized activations are outputs as well."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(path, load_external_data=False)
        self._recorded: dict[str, list[str]] = {}
        self._zero_points: dict[str, int] = {}
        for integers, matrices, zero_point in _products(model):
            self._recorded.setdefault(integers, []).extend(matrices)
            self._zero_points[integers] = zero_point
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in self._recorded
        )
        self._session = open_session(
            model.SerializeToString(), threads=1, weights_directory=path.parent, entries=int8_is_exact(1).entries
        )

    def run(self, arrays: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """The graph's own outputs by name, and the recorded integers by matrix."""
        names = [value.name for value in self._session.get_outputs()]
        inputs = {value.name for value in self._session.get_inputs()}
        taken = {name: array for name, array in arrays.items() if name in inputs}
        found = dict(zip(names, self._session.run(names, taken), strict=True))
        integers = {}
        for name, matrices in self._recorded.items():
            shifted = found.pop(name).astype(np.float32) - self._zero_points[name]
            integers.update(dict.fromkeys(matrices, shifted))
        return found, integers

    def empty_past(self, rows: int) -> dict[str, Array]:
        """Caches of length 0 for `rows` rows."""
        inputs = self._session.get_inputs()
        return {value.name: empty_cache(value, rows) for value in inputs if value.name.startswith("past_")}


def _products(model: onnx.ModelProto) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """For each integer product, the name of its quantized activations, its matrices, and the integer of zero."""
    producers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        name: str = node.output[0]
        if node.op_type == "MatMulInteger":
            yield node.input[0], matrices_of(name, SUMS), MIDDLE
        elif name.endswith(PRODUCT) or name == LOGITS:
            rows = producers.get(node.input[0])
            if rows is not None and rows.op_type == "DequantizeLinear":
                yield rows.input[0], matrices_of(name, PRODUCT), int(scalar(model, rows.input[2]) or 0)
            elif node.op_type == "MatMulIntegerToFloat":
                yield node.input[0], matrices_of(name, PRODUCT), int(scalar(model, node.input[4]) or 0)
