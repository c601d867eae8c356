"""Offline graph optimization: the portable graphs as fused ahead of time for ONNX Runtime (export option `optimize`).

Owns two ways to optimize, and pointing the results back at `weights.bin` so that no weight is stored twice. It has
nothing to do with the ORT profile, whose graphs are built of ONNX Runtime's operators from the start.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.files.scratch import scratch_directory
from lingolite_onnx.graph import EXTERNAL_FROM_BYTES, WEIGHTS_FILE, WeightFile, external_tensor, write_model
from lingolite_onnx.portable.interface import GRAPHS
from lingolite_onnx.session.sessions import CPU, session_options

OPTIMIZED_WEIGHTS_FILE = "weights_optimized.bin"

Optimizer: TypeAlias = Callable[[Path, Architecture], onnx.ModelProto]


def optimize(directory: Path, method: str, *, config: Architecture) -> None:
    """Write an optimized graph beside each portable one.

    Constants that no portable graph has go to `weights_optimized.bin`, which is only made when there are any.

    Args:
        directory: where the portable graphs and `weights.bin` are.
        method: `onnxruntime` or `onnxruntime-tools`.
        config: the shape of the model.

    Raises:
        LingoLiteError: the optimizer is missing or fails.
    """
    optimizer = _OPTIMIZERS[method]
    regions = _weight_regions(directory)
    weight_file = WeightFile(directory / OPTIMIZED_WEIGHTS_FILE)
    for portable, optimized in zip(GRAPHS["portable"], GRAPHS["optimized"], strict=True):
        model = optimizer(directory / portable, config)
        _share_weights(model.graph.initializer, regions, weight_file)
        _drop_unused_domains(model)
        write_model(model, directory / optimized)
    if not (directory / OPTIMIZED_WEIGHTS_FILE).stat().st_size:
        (directory / OPTIMIZED_WEIGHTS_FILE).unlink()


def _by_onnxruntime(path: Path, config: Architecture) -> onnx.ModelProto:
    """ONNX Runtime's own fusions, level `extended`.

    Level `all` would add layouts that suit only this CPU. Constant folding is left for when the graph is loaded:
    done here, it would write the transposed int8 embedding and float32 copies of float16 weights to disk.
    """
    with scratch_directory() as scratch:
        optimized = scratch / path.name
        options = session_options(threads=1)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimized)
        for key, value in (("file_name", "weights.bin"), ("min_size_in_bytes", str(EXTERNAL_FROM_BYTES))):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{key}", value)
        ort.InferenceSession(str(path), options, providers=[CPU], disabled_optimizers=["ConstantFolding"])
        return onnx.load(optimized)


def _by_onnxruntime_tools(path: Path, config: Architecture) -> onnx.ModelProto:
    """The fusions of the package `onnxruntime-tools`, unmaintained since 2021, for models of the type `bert`."""
    fallback = 'set optimize = "onnxruntime" for the optimizer that onnxruntime itself brings'
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints when it is imported
            tools = importlib.import_module("onnxruntime_tools")  # its submodule hides behind an attribute
    except ImportError as error:
        raise LingoLiteError(
            f"onnxruntime-tools cannot be imported: {error}",
            hint=f"pip install onnxruntime-tools, or {fallback}",
            exit_code=ExitCode.PLUGIN,
        ) from error
    try:
        with contextlib.redirect_stdout(sys.stderr):
            optimized = tools.optimizer.optimize_model(
                str(path), model_type="bert", num_heads=config.n_heads, hidden_size=config.d_model
            )
        model: onnx.ModelProto = optimized.model
    except Exception as error:  # an unmaintained package may fail in any way
        raise LingoLiteError(
            f"onnxruntime-tools cannot optimize {path.name}: {error!r}",
            hint=f"the package is no longer maintained; {fallback}",
            exit_code=ExitCode.PLUGIN,
        ) from error
    return model


_OPTIMIZERS: dict[str, Optimizer] = {
    "onnxruntime": _by_onnxruntime,
    "onnxruntime-tools": _by_onnxruntime_tools,
}


def _weight_regions(directory: Path) -> dict[str, tuple[int, int]]:
    """Offset and length in `weights.bin` by the SHA-256 of the bytes there."""
    data = (directory / WEIGHTS_FILE).read_bytes()
    regions = {}
    for name in GRAPHS["portable"]:
        model = onnx.load(directory / name, load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                entries = {entry.key: entry.value for entry in tensor.external_data}
                offset, length = int(entries["offset"]), int(entries["length"])
                regions[hashlib.sha256(data[offset : offset + length]).hexdigest()] = (offset, length)
    return regions


def _share_weights(
    tensors: Iterable[onnx.TensorProto], regions: dict[str, tuple[int, int]], weight_file: WeightFile
) -> None:
    """Point large initializers at `weights.bin` where their bytes are there, and at `weight_file` otherwise."""
    for tensor in tensors:
        array = numpy_helper.to_array(tensor)
        if array.nbytes < EXTERNAL_FROM_BYTES:
            continue
        region = regions.get(hashlib.sha256(array.tobytes()).hexdigest())
        if region is None:
            external = weight_file.tensor(tensor.name, array)
        else:
            offset, length = region
            external = external_tensor(tensor.name, array, location=WEIGHTS_FILE, offset=offset, length=length)
        tensor.CopyFrom(external)


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    """Keep the operator sets that a node uses; ONNX Runtime lists all that it knows."""
    used = {node.domain for node in model.graph.node}
    kept = sorted((opset.domain, opset.version) for opset in model.opset_import if opset.domain in used)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in kept)
