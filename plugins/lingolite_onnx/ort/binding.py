"""A decoder bound to the memory of a batch: each step writes into the same arrays, and nothing is copied.

Owns what is bound to which input and output. `lingolite_onnx.ort.buffers` decides which row lies where, and
`lingolite_onnx.ort.runner` when a batch is bound again. R rows, k best tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime as ort

from lingolite_cli.arrays import Array
from lingolite_onnx.ort.interface import TOP_IDS, TOP_LOG_PROBABILITIES

if TYPE_CHECKING:
    from lingolite_cli.arrays import IntArray
    from lingolite_onnx.ort.buffers import Buffers


class BoundStep(msgspec.Struct):
    """A decoder's binding to the memory of a batch.

    Attributes:
        inputs: arrays by name that change from step to step, or are small.
        outputs: arrays by name, [R, 1, …].
        slots: [R] where each row lies; None when row i lies in slot i.
    """

    session: ort.InferenceSession
    binding: ort.IOBinding
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    slots: Array | None

    @property
    def num_best(self) -> int:
        """k, how many of the best tokens the step gives."""
        return int(self.outputs[TOP_IDS].shape[2])

    def run(self, tokens: IntArray, length: int) -> None:
        """Read `tokens` [R], one a row, at position `length`."""
        self.inputs["tokens"][slice(None) if self.slots is None else self.slots, 0] = tokens
        self.inputs["past_lengths"].fill(length)
        self.inputs["total_length"].fill(length + 1)
        self.session.run_with_iobinding(self.binding)

    def output(self, name: str) -> Array:
        """An output by row, [R, …]."""
        array = self.outputs[name][:, 0]
        return array if self.slots is None else array[self.slots]


def bind_step(
    session: ort.InferenceSession,
    buffers: Buffers,
    *,
    joint: Mapping[str, Array],
    past_names: Sequence[str],
    logits: Array,
    k: int,
) -> BoundStep:
    """Bind a decoder to the rows of `buffers`.

    Args:
        session: of the decoder.
        buffers: keys and values of the batch, and what the encoder gave.
        joint: by input name, what is of no row.
        past_names: inputs that are the arrays of `buffers.past`, in order.
        logits: [R, 1, …] where logits go.
        k: best tokens wanted.
    """
    rows = buffers.num_rows
    step = BoundStep(
        session, session.io_binding(), _small_inputs(rows, k), {"logits": logits, **_top(rows, k)}, buffers.moved
    )
    if not rows:  # ONNX Runtime binds no empty arrays, and an empty batch is never run
        return step
    source = {name: array[:rows] for name, array in buffers.source.items()}
    for name, array in {**step.inputs, **source, **joint}.items():
        step.binding.bind_cpu_input(name, array)
    for name, array in step.outputs.items():
        step.binding.bind_ortvalue_output(name, over_memory(array))
    for name, array in zip(past_names, buffers.past, strict=True):
        value = over_memory(array[:rows])
        # One memory for input and output: GroupQueryAttention then appends in place, whatever the capacity.
        step.binding.bind_ortvalue_input(name, value)
        step.binding.bind_ortvalue_output(name.replace("past", "present"), value)
    return step


def over_memory(array: Array) -> ort.OrtValue:
    """What onnxruntime binds, over the memory of a contiguous array. Of another array it would bind a copy."""
    return ort.OrtValue.ortvalue_from_numpy(array)


def _small_inputs(rows: int, k: int) -> dict[str, Array]:
    return {
        "tokens": np.empty((rows, 1), np.int64),
        "past_lengths": np.empty(rows, np.int32),
        "total_length": np.empty((), np.int32),
        "k": np.array([k]),
    }


def _top(rows: int, k: int) -> dict[str, Array]:
    return {
        TOP_IDS: np.empty((rows, 1, k), np.int64),
        TOP_LOG_PROBABILITIES: np.empty((rows, 1, k), np.float32),
    }
