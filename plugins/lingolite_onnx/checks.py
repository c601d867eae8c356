"""Checks of exported graphs: that ONNX accepts them, that ONNX Runtime runs them, that they compute the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.reference import Reference
from lingolite_onnx.runner import GRAPHS, Runner
from lingolite_onnx.saturation import int8_is_exact
from lingolite_onnx.weights import Array, Weights

FLOAT_TOLERANCE = 1e-3
INT8_TOLERANCE = 2e-2
"""Shares of the largest logit. Another order of float sums may move an activation to the next of 255 levels, so
integer products are allowed more."""

_BATCH, _SOURCE, _TARGET = 2, 7, 5


class Sample(msgspec.Struct, frozen=True):
    """Random ids and a mask, [B, S], with padding in the last row, and target ids [B, T]."""

    source_ids: Array
    source_mask: Array
    target_ids: Array

    @classmethod
    def random(cls, vocab_size: int, *, max_length: int) -> Sample:
        """The same for equal arguments."""
        generator = np.random.default_rng(0)
        source = generator.integers(0, vocab_size, (_BATCH, min(_SOURCE, max_length)))
        target = generator.integers(0, vocab_size, (_BATCH, min(_TARGET, max_length)))
        mask = np.ones(source.shape, dtype=np.bool_)
        mask[-1, (source.shape[1] + 1) // 2 :] = False
        return cls(np.where(mask, source, 0), mask, target)


def check_models(paths: Sequence[Path]) -> None:
    """Hold portable graphs to ONNX's own checker, shapes included.

    Raises:
        LingoLiteError: it refuses one.
    """
    for path in paths:
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise LingoLiteError(
                f"onnx {onnx.__version__} refuses {path.name}: {error}",
                hint="report this with the model's configuration",
                exit_code=ExitCode.PLUGIN,
            ) from error


def check_run(
    weights: Weights,
    directory: Path,
    graph: Literal["portable", "optimized"],
    *,
    max_seq_len: int,
    checked_by: tuple[str, ...],
    test: bool,
) -> GraphCheck:
    """Run a pair of graphs on random input, and compare it with the reference when `test` asks for that.

    Raises:
        LingoLiteError: the logits are not finite, or not those of the weights.
    """
    sample = Sample.random(weights.config.vocab_size, max_length=max_seq_len)
    logits = _run(directory, graph, sample, max_seq_len)
    if not np.isfinite(logits).all():
        raise LingoLiteError(
            f"{GRAPHS[graph][1]} gives logits that are not finite",
            hint="look for infinite or missing weights in the bundle",
            exit_code=ExitCode.PLUGIN,
        )
    checked_by = (*checked_by, "onnxruntime")
    if not test:
        return GraphCheck(graph=graph, checked_by=checked_by)
    return _compare(weights, sample, logits, GraphCheck(graph=graph, checked_by=(*checked_by, "reference")))


def _run(directory: Path, graph: str, sample: Sample, max_seq_len: int) -> Array:
    """[B, T, V] logits of the target, one token a step."""
    runner = Runner(directory, graph, max_seq_len=max_seq_len, threads=1)
    state = runner.encode(sample.source_ids, sample.source_mask)
    columns = np.ascontiguousarray(sample.target_ids.T)
    logits = np.stack([runner.step(state, tokens) for tokens in columns], axis=1)
    runner.close()
    return logits


def _compare(weights: Weights, sample: Sample, logits: Array, check: GraphCheck) -> GraphCheck:
    reference = Reference(weights)
    encoded = reference.encode(sample.source_ids, sample.source_mask)
    expected = reference.decode(sample.target_ids, encoded, sample.source_mask)
    difference = float(np.abs(logits - expected).max())
    largest = float(np.abs(expected).max())
    tolerance = INT8_TOLERANCE if weights.has_int8 else FLOAT_TOLERANCE
    if difference > tolerance * largest:
        raise LingoLiteError(
            f"the {check.graph} graphs do not compute the model: a logit is off by {difference:.3g}, and "
            f"{tolerance:g} of the largest logit, {largest:.3g}, is allowed",
            hint=_difference_hint(weights),
            exit_code=ExitCode.PLUGIN,
        )
    return msgspec.structs.replace(
        check,
        max_abs_difference=_two_digits(difference),
        max_abs_logit=_two_digits(largest),
        tolerance=tolerance,
    )


def _difference_hint(weights: Weights) -> str:
    warning = int8_is_exact(1).warning if weights.has_int8 else None
    if warning:
        return f"{warning}. To export here all the same, set test = false"
    return "report this with the model's configuration; set test = false to write the graphs all the same"


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
