"""Checks of the portable profile's graphs: that ONNX accepts them, that ONNX Runtime runs them, that they compute the
model.

Also of what offline graph optimization made of them. B batch, T target, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import onnx

from lingolite_cli.arrays import Array
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.comparison import compare_with_reference, require_finite_logits
from lingolite_onnx.checks.portable_recording import record_portable
from lingolite_onnx.checks.samples import Sample
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.portable.interface import GRAPHS
from lingolite_onnx.portable.runner import PortableRunner
from lingolite_onnx.session.saturation import int8_is_exact

if TYPE_CHECKING:
    from lingolite_onnx.profiles import GraphSettings


def check_portable_graphs(weights: Weights, directory: Path, settings: GraphSettings) -> tuple[GraphCheck, ...]:
    """Check the graphs that `lingolite_onnx.portable.writing` wrote into `directory`.

    Raises:
        LingoLiteError: ONNX refuses one, or logits are not finite, or not those of the weights.
    """
    _check_models([directory / name for name in GRAPHS["portable"]])
    portable = _check_run(weights, directory, "portable", settings)
    return (
        (portable,)
        if settings.optimize == "none"
        else (portable, _check_run(weights, directory, "optimized", settings))
    )


def _check_models(paths: Sequence[Path]) -> None:
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


def _check_run(
    weights: Weights, directory: Path, graph: Literal["portable", "optimized"], settings: GraphSettings
) -> GraphCheck:
    """Run a pair of portable graphs, or what an optimizer made of them, on random input, and compare it with the
    reference when `settings.test` asks for that.

    Raises:
        LingoLiteError: the logits are not finite, or not those of the weights.
    """
    sample = Sample.random(weights.config, max_length=settings.max_seq_len)
    require_finite_logits(_run(directory, graph, sample, settings.max_seq_len), GRAPHS[graph][1])
    # _check_models has seen the portable graphs alone; the others have operators whose types onnx cannot infer.
    checked_by = ("onnx.checker", "onnxruntime") if graph == "portable" else ("onnxruntime",)
    check = GraphCheck(graph=graph, checked_by=checked_by)
    if not settings.test:
        return check
    encoder, decoder = (directory / name for name in GRAPHS[graph])
    return compare_with_reference(weights, sample, record_portable(encoder, decoder, sample), check)


def _run(directory: Path, graph: str, sample: Sample, max_seq_len: int) -> Array:
    """[B, T, V] logits of the target, one token a step."""
    runner = PortableRunner(directory, graph, max_seq_len=max_seq_len, threads=1, entries=int8_is_exact(1).entries)
    state = runner.encode(sample.source_ids, sample.source_mask)
    columns = np.ascontiguousarray(sample.target_ids.T)
    logits = np.stack([runner.step(state, tokens) for tokens in columns], axis=1)
    runner.close()
    return logits
