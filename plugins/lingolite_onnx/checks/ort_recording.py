"""Runs the graphs of the ORT profile on a sample and records what their activations were rounded to.

Integers of calibrated ranges are tensors of the graph, and recorded as they are. `MatMulNBits` rounds inside its
kernel: what it is fed is recorded, and rounded here as the kernel says it rounds.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import SMALLEST_MAXIMUM, half_to_even, row_scale
from lingolite_cli.weights.rows import INT8_MAX
from lingolite_onnx.checks.constants import scalar
from lingolite_onnx.checks.samples import Recording, Sample
from lingolite_onnx.interface import LOGITS
from lingolite_onnx.naming import INTEGERS, PRODUCT, matrices_of
from lingolite_onnx.ort.products import ROUNDED_BY_BLOCK
from lingolite_onnx.session.saturation import int8_is_exact
from lingolite_onnx.session.sessions import open_session


class _Probe(msgspec.Struct, frozen=True):
    """Activations that are rounded for `matrices`.

    Attributes:
        tensor: the activations, or their integers.
        block: so many neighbours share a scale; all of a row if None.
        zero_point: of a calibrated range, whose integers `tensor` holds; None where it holds activations.
    """

    tensor: str
    matrices: tuple[str, ...]
    block: int | None = None
    zero_point: int | None = None

    @property
    def element_type(self) -> int:
        """What `tensor` is made of."""
        return int(TensorProto.FLOAT if self.zero_point is None else TensorProto.UINT8)


def record_ort(encoder: Path, decoder: Path, sample: Sample) -> Recording:
    """Run an encoder and a decoder, one token a step."""
    encoding, decoding = _RecordingSession(encoder), _RecordingSession(decoder)
    source, integers = encoding.run({"source_ids": sample.source_ids, "source_mask": sample.source_mask})
    rows, length = sample.target_ids.shape
    past = decoding.empty_buffers(rows, capacity=length)
    logits: list[Array] = []
    steps: list[dict[str, Array]] = []
    for position, tokens in enumerate(sample.target_ids.T):
        fed = {
            "tokens": np.ascontiguousarray(tokens[:, None]),
            "past_lengths": np.full(rows, position, np.int32),
            "total_length": np.array(position + 1, np.int32),
            "k": np.array([1]),
        }
        outputs, step = decoding.run({**fed, **source, **past})
        logits.append(outputs[LOGITS][:, 0])
        past = {name: outputs[name.replace("past", "present")] for name in past}
        steps.append(step)
    decoded = {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}
    return Recording(np.stack(logits, axis=1), {**integers, **decoded}, {**encoding.blocks, **decoding.blocks})


class _RecordingSession:
    """A graph whose activations are outputs as well, wherever they are rounded.

    Attributes:
        blocks: by matrix, how many neighbours share a scale.
    """

    def __init__(self, path: Path) -> None:
        model = onnx.load(path, load_external_data=False)
        self._own = [value.name for value in model.graph.output]
        self._probes = _probes(model)
        recorded = {probe.tensor: probe.element_type for probe in self._probes}
        model.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name, kind in recorded.items())
        self._recorded = list(recorded)
        self._session = open_session(
            model.SerializeToString(), threads=1, weights_directory=path.parent, entries=int8_is_exact(1).entries
        )
        self.blocks: dict[str, int] = {}

    def run(self, arrays: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """The graph's own outputs by name, and the rounded activations [N, in] by matrix."""
        names = [*self._own, *self._recorded]
        found = dict(zip(names, self._session.run(names, arrays), strict=True))
        integers = {}
        for probe in self._probes:
            rows = len(arrays.get("tokens", ())) or arrays["source_ids"].size
            x = found[probe.tensor]
            if probe.zero_point is not None:
                rounded = x.astype(np.float32) - probe.zero_point
            else:
                # `QuantizeLinear` is fed rows that are divided already where they have several scales.
                size = probe.block or x.shape[-1]
                self.blocks.update(dict.fromkeys(probe.matrices, size))
                is_divided = probe.block is None
                rounded = half_to_even(x / row_scale(x)) if is_divided else rounded_by_block(x.reshape(rows, -1), size)
            rounded = rounded.reshape(rows, -1)
            integers.update(dict.fromkeys(probe.matrices, rounded))
        return {name: found[name] for name in self._own}, integers

    def empty_buffers(self, rows: int, *, capacity: int) -> dict[str, Array]:
        """Self-attention buffers for `rows` rows."""
        shapes = {value.name: value.shape for value in self._session.get_inputs() if value.name.startswith("past_")}
        shapes.pop("past_lengths")
        sizes = {"capacity": capacity}
        return {
            name: np.zeros((rows, *(sizes.get(size, size) for size in shape[1:])), np.float32)
            for name, shape in shapes.items()
        }


def _probes(model: onnx.ModelProto) -> list[_Probe]:
    probes = []
    for node in model.graph.node:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "MatMulNBits" and attributes["accuracy_level"] == ROUNDED_BY_BLOCK:
            probes.append(_Probe(node.input[0], matrices_of(node.output[0], PRODUCT), attributes["block_size"]))
        elif node.output[0].endswith(INTEGERS):
            matrices = matrices_of(node.output[0], INTEGERS)
            zero_point = scalar(model, node.input[-1])
            if zero_point is None:  # one for each row, as the scales are
                probes.append(_Probe(node.input[0], matrices))
            else:
                probes.append(_Probe(node.output[0], matrices, zero_point=int(zero_point)))
    return probes


def rounded_by_block(x: Array, block: int) -> Array:
    """x [N, in] float32 as integers, with one scale for each `block` neighbours.

    The kernel multiplies by 127 over the largest magnitude. A quotient by the scale falls on another side of a tie now
    and then; in a query that is a level, and by the softmax several after it.
    """
    parts = np.split(x, range(block, x.shape[1], block), axis=1)
    largest = [np.maximum(np.abs(part).max(axis=1, keepdims=True), np.float32(SMALLEST_MAXIMUM)) for part in parts]
    multiplied = [part * (np.float32(INT8_MAX) / most) for part, most in zip(parts, largest, strict=True)]
    return np.concatenate([half_to_even(part) for part in multiplied], axis=1)
