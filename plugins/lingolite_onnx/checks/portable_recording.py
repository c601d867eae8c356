"""Runs graphs on a sample and records the integers that their activations were rounded to.

Two right computations of an int8 model need not agree: another order of float sums may move an activation by one of
255 levels, and later layers make more of it. Owns the way around that: record the graphs' own integers, hold each
to its quotient, and let the reference go on from them. Then logits must agree as closely as in float.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lingolite_cli.architecture.tensors import OUTPUT_PROJECTION
from lingolite_cli.arrays import Array
from lingolite_onnx.portable.layers import JOINT, LOGITS, PRODUCT, SUMS
from lingolite_onnx.portable.runner import empty_cache
from lingolite_onnx.session.saturation import int8_is_exact
from lingolite_onnx.session.sessions import open_session

_ZERO_POINT = 128


class Sample(msgspec.Struct, frozen=True):
    """Source ids and mask, [B, S], and target ids [B, T]."""

    source_ids: Array
    source_mask: Array
    target_ids: Array

    @classmethod
    def random(cls, vocab_size: int, *, max_length: int) -> Sample:
        """Two short rows with padding in the last; the same for equal arguments."""
        generator = np.random.default_rng(0)
        source = generator.integers(0, vocab_size, (2, min(7, max_length)))
        target = generator.integers(0, vocab_size, (2, min(5, max_length)))
        mask = np.ones(source.shape, dtype=np.bool_)
        mask[-1, (source.shape[1] + 1) // 2 :] = False
        return cls(np.where(mask, source, 0), mask, target)


class Recording(msgspec.Struct, frozen=True):
    """What graphs computed on a sample.

    Attributes:
        logits: [B, T, V] float32.
        integers: by matrix, the rounded activations that it met: [B·S, in] in the encoder, [B, T, in] in the
            decoder. Empty for float matrices.
        blocks: by matrix, how many neighbours in a row were rounded with one scale, where that is not the whole row.
    """

    logits: Array
    integers: dict[str, Array]
    blocks: dict[str, int] = {}


class Replay:
    """A rounding for `lingolite_cli.architecture.reference.Reference` that gives recorded integers.

    Attributes:
        largest_error: largest distance of a recorded integer from its quotient; 0.5 is what rounding may do.
    """

    def __init__(self, recording: Recording) -> None:
        self._integers = recording.integers
        self.largest_error = 0.0

    def __call__(self, name: str, quotients: Array) -> Array:
        """The integers recorded for the matrix `name`, in the shape of `quotients`."""
        integers = self._integers[name].reshape(quotients.shape)
        self.largest_error = max(self.largest_error, float(np.abs(integers - quotients).max()))
        return integers


def record_portable(encoder: Path, decoder: Path, sample: Sample) -> Recording:
    """Run a pair of graphs, the decoder one token a step."""
    encoding, decoding = _RecordingSession(encoder), _RecordingSession(decoder)
    cross, integers = encoding.run({"source_ids": sample.source_ids, "source_mask": sample.source_mask})
    fed = {"source_mask": sample.source_mask, **cross}
    past = decoding.empty_past(len(sample.source_ids))
    logits: list[Array] = []
    steps: list[dict[str, Array]] = []
    for tokens in np.ascontiguousarray(sample.target_ids.T):
        outputs, step = decoding.run({"tokens": tokens, **fed, **past})
        logits.append(outputs.pop("logits"))
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
        found = dict(zip(names, self._session.run(names, arrays), strict=True))
        integers = {}
        for name, matrices in self._recorded.items():
            shifted = found.pop(name).astype(np.float32) - self._zero_points[name]
            integers.update(dict.fromkeys(matrices, shifted))
        return found, integers

    def empty_past(self, rows: int) -> dict[str, Array]:
        """Caches of length 0 for `rows` rows."""
        inputs = self._session.get_inputs()
        return {value.name: empty_cache(value, rows) for value in inputs if value.name.startswith("past_")}


def _products(model: onnx.ModelProto) -> Iterator[tuple[str, list[str], int]]:
    """For each integer product, the name of its quantized activations, its matrices, and the integer of zero."""
    producers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        name: str = node.output[0]
        if node.op_type == "MatMulInteger":
            yield node.input[0], name.removesuffix(SUMS).split(JOINT), _ZERO_POINT
        elif name.endswith(PRODUCT) or name == LOGITS:
            matrices = [OUTPUT_PROJECTION] if name == LOGITS else name.removesuffix(PRODUCT).split(JOINT)
            rows = producers.get(node.input[0])
            if rows is not None and rows.op_type == "DequantizeLinear":
                yield rows.input[0], matrices, _constant(model, rows.input[2])
            elif node.op_type == "MatMulIntegerToFloat":
                yield node.input[0], matrices, _constant(model, node.input[4])


def _constant(model: onnx.ModelProto, name: str) -> int:
    """The value of a scalar initializer."""
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    return int(numpy_helper.to_array(tensor))
