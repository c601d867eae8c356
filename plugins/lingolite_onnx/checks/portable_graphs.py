"""Checks of the portable profile's graphs: that ONNX accepts them, that ONNX Runtime runs them, that they compute the
model.

Also of what offline graph optimization and the conversion to ONNX Runtime's own format made of them. B batch, T target,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

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
from lingolite_onnx.session.sessions import CPU, session_options

if TYPE_CHECKING:
    from lingolite_onnx.profiles import GraphSettings


def check_portable_graphs(weights: Weights, directory: Path, settings: GraphSettings) -> tuple[GraphCheck, ...]:
    """Check the graphs that `lingolite_onnx.portable.writing` wrote into `directory`.

    Raises:
        LingoLiteError: ONNX refuses one, or logits are not finite, or not those of the weights.
    """
    _check_models([directory / name for name in GRAPHS["portable"]])
    checks = [_check_run(weights, directory, "portable", settings)]
    if settings.optimize != "none":
        checks.append(_check_run(weights, directory, "optimized", settings))
    if settings.ort:
        checks.append(_check_ort(weights, directory, settings))
    return tuple(checks)


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
    require_finite_logits(_run(directory, graph, sample, settings), GRAPHS[graph][1])
    # _check_models has seen the portable graphs alone; the others have operators whose types onnx cannot infer.
    checked_by = ("onnx.checker", "onnxruntime") if graph == "portable" else ("onnxruntime",)
    check = GraphCheck(graph=graph, checked_by=checked_by)
    if not settings.test:
        return check
    encoder, decoder = (directory / name for name in GRAPHS[graph])
    return compare_with_reference(weights, sample, record_portable(encoder, decoder, sample), check)


def _check_ort(weights: Weights, directory: Path, settings: GraphSettings) -> GraphCheck:
    """Hold what was converted to ONNX Runtime's own format to the portable graphs, bit for bit.

    These are opened at the level of optimization that was converted with, so that both have the same operators.

    Raises:
        LingoLiteError: the logits are not finite, or not those of the portable graphs.
    """
    sample = Sample.random(weights.config, max_length=settings.max_seq_len)
    found = _run(directory, "ort", sample, settings)
    require_finite_logits(found, GRAPHS["ort"][1])
    check = GraphCheck(graph="ort", checked_by=("onnxruntime",))
    if not settings.test:
        return check
    expected = _run(directory, "portable", sample, settings, open_graph=_open_basic)
    difference = float(np.abs(found - expected).max())
    if difference:
        raise LingoLiteError(
            f"{GRAPHS['ort'][1]} computes logits that differ from those of {GRAPHS['portable'][1]} by {difference:.2g}",
            hint="report this with the versions that `lingolite doctor` prints",
            exit_code=ExitCode.PLUGIN,
        )
    return msgspec.structs.replace(check, checked_by=("onnxruntime", "portable graphs"), max_abs_difference=0.0)


def _open_basic(path: Path) -> ort.InferenceSession:
    options = session_options(threads=1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    for key, value in int8_is_exact(1).entries.items():
        options.add_session_config_entry(key, value)
    return ort.InferenceSession(str(path), options, providers=[CPU])


def _run(
    directory: Path,
    graph: str,
    sample: Sample,
    settings: GraphSettings,
    *,
    open_graph: Callable[[Path], ort.InferenceSession] | None = None,
) -> Array:
    """[B, T, V] logits of the target, one token a step."""
    entries = int8_is_exact(1).entries
    runner = PortableRunner(
        directory, graph, max_seq_len=settings.max_seq_len, threads=1, entries=entries, open_graph=open_graph
    )
    state = runner.encode(sample.source_ids, sample.source_mask)
    columns = np.ascontiguousarray(sample.target_ids.T)
    logits = np.stack([runner.step(state, tokens) for tokens in columns], axis=1)
    runner.close()
    return logits
