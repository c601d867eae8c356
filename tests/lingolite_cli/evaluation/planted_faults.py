"""Faults planted in copies of artifacts: ONNX files are edited as graphs and arrays, bundles as tensors.

Each copy gets a manifest of its own, so that its digests hold and only translations and logits can tell. Faults of a
runtime, which no file has, are the backends of tests/third_party/planted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from lingolite_onnx.options import FORMAT
from onnx import helper, numpy_helper
from safetensors.numpy import load_file, save_file

from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.artifact import WEIGHTS_NAME, Artifact, read_manifest, write_manifest

LAYER = "decoder.layers.1.ffn.down_proj"
"""Its scale is doubled."""
LIMIT = 32
"""Tokens after which sources and translations end."""
CONTROLS = 12
"""Ids below are control tokens and stay where they are when the others are shifted."""


def plant(artifact: Artifact, target: Path, fault: Callable[[Path], None]) -> Artifact:
    """A copy of `artifact` in `target`, edited by `fault`, with a manifest that fits."""
    shutil.copytree(artifact.path, target)
    fault(target)
    write_manifest(target, read_manifest(target))
    return Artifact.open(target)


def drop_cross_attention_mask(directory: Path) -> None:
    """ONNX: the decoder takes all source columns for real."""
    _drop_mask(directory, "decoder")


def drop_encoder_mask(directory: Path) -> None:
    """ONNX: the encoder does."""
    _drop_mask(directory, "encoder")


def _drop_mask(directory: Path, graph: str) -> None:
    model = _graph(directory, graph)
    (where,) = (node for node in model.graph.node if node.op_type == "Where" and node.input[0] == "source_mask")
    where.input[2] = where.input[1]
    _save(model, directory, graph)


def turn_queries(directory: Path) -> None:
    """The decoder's queries stand one position too far, its keys where they should."""
    (_turn_queries_of_graph if _is_onnx(directory) else _turn_queries_of_bundle)(directory)


def double_scale(directory: Path) -> None:
    """One matrix of the decoder is twice as large: by its scale where it has one."""
    if not _is_onnx(directory):
        _edit_bundle(directory, f"{LAYER}.weight_scale", lambda scale: scale * np.float32(2))
        return
    names = {tensor.name for tensor in _graph(directory, "decoder").graph.initializer}
    name = f"{LAYER}.scale" if f"{LAYER}.scale" in names else LAYER
    _edit_initializer(directory, name, lambda values: values * values.dtype.type(2))


def scale_output(directory: Path) -> None:
    """ONNX: the last norm is half as large again."""
    _edit_initializer(directory, "decoder.final_norm", lambda gains: gains * gains.dtype.type(1.5))


def halve_cached_values(directory: Path) -> None:
    """ONNX: the first layer of the decoder halves its cached values at each step."""
    model = _graph(directory, "decoder")
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    (place,) = (
        number
        for number, node in enumerate(model.graph.node)
        if node.op_type == "Concat" and node.input[0] == "past_value_0"
    )
    model.graph.node[place].input[0] = "past_value_0/halved"
    model.graph.node.insert(place, helper.make_node("Mul", ["past_value_0", "half"], ["past_value_0/halved"]))
    _save(model, directory, "decoder")


def repeat_first_source_position(directory: Path) -> None:
    """ONNX: the encoder counts its positions 0, 0, 1, 2, …"""
    model = _graph(directory, "encoder")
    model.graph.initializer.extend(numpy_helper.from_array(np.int64(n), f"number_{n}") for n in (0, 1))
    ((place, count),) = ((number, node) for number, node in enumerate(model.graph.node) if node.op_type == "Range")
    positions = count.output[0]
    count.output[0] = "positions/right"
    before = helper.make_node("Sub", ["positions/right", "number_1"], ["positions/before"])
    model.graph.node.insert(place + 1, before)
    model.graph.node.insert(place + 2, helper.make_node("Max", ["positions/before", "number_0"], [positions]))
    _save(model, directory, "encoder")


def zero_row(identifier: int) -> Callable[[Path], None]:
    """A fault: the row of one token in the embedding, which is the projection too."""

    def zero(rows: np.ndarray) -> np.ndarray:
        rows[identifier] = 0
        return rows

    return lambda directory: _edit_embedding(directory, zero, parts=1)


def shift_rows(directory: Path) -> None:
    """Each ordinary token has the row of the next."""

    def shift(rows: np.ndarray) -> np.ndarray:
        rows[CONTROLS:] = np.roll(rows[CONTROLS:], -1, axis=0)
        return rows

    _edit_embedding(directory, shift, parts=2)


def limit_positions(directory: Path) -> None:
    """The artifact says that it has 32 positions."""
    manifest = read_manifest(directory)
    details = {**manifest.details, "max_seq_len": LIMIT} if "max_seq_len" in manifest.details else manifest.details
    model = msgspec.structs.replace(manifest.model, max_seq_len=LIMIT)
    write_manifest(directory, msgspec.structs.replace(manifest, model=model, details=details))


def limit_cache(directory: Path) -> None:
    """ONNX: the decoder's cache forgets what is older than 32 tokens."""
    model = _graph(directory, "decoder")
    starts, ends = (numpy_helper.from_array(np.array([n]), name) for n, name in ((-LIMIT, "kept"), (1 << 31, "end")))
    axes = [numpy_helper.from_array(np.array([axis]), f"axis_{axis}") for axis in (2, 3)]
    model.graph.initializer.extend([starts, ends, *axes])
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name.startswith("present_"):
                axis = 3 if "key" in name else 2
                node.output[place] = f"{name}/whole"
                nodes.append(helper.make_node("Slice", [f"{name}/whole", "kept", "end", f"axis_{axis}"], [name]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _save(model, directory, "decoder")


def _is_onnx(directory: Path) -> bool:
    return read_manifest(directory).format == FORMAT


def _graph(directory: Path, name: str) -> onnx.ModelProto:
    return onnx.load(directory / f"{name}.onnx", load_external_data=False)


def _save(model: onnx.ModelProto, directory: Path, name: str) -> None:
    (directory / f"{name}.onnx").write_bytes(model.SerializeToString())


def _edit_initializer(directory: Path, name: str, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change an array in the file of weights, which both graphs read."""
    (tensor,) = (one for one in _graph(directory, "decoder").graph.initializer if one.name == name)
    where = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape: tuple[int, ...] = tuple(tensor.dims)
    array = np.memmap(directory / where["location"], dtype, "r+", offset=int(where["offset"]), shape=shape)
    array[:] = edit(np.array(array))
    array.flush()


def _edit_embedding(directory: Path, edit: Callable[[np.ndarray], np.ndarray], *, parts: int) -> None:
    """Change the rows of the embedding; with 2 parts those of its scales too, where it has some."""
    if not _is_onnx(directory):
        tensors = load_file(directory / WEIGHTS_NAME)
        for name in ["encoder.embedding.weight", "encoder.embedding.weight_scale"][:parts]:
            _edit_bundle(directory, name, edit)
        assert "decoder.embedding.weight" not in tensors
        return
    names = {tensor.name for tensor in _graph(directory, "decoder").graph.initializer}
    for name in ["embedding", "embedding.scale"][:parts]:
        if name in names:
            _edit_initializer(directory, name, edit)


def _edit_bundle(directory: Path, name: str, edit: Callable[[np.ndarray], np.ndarray]) -> None:
    tensors = load_file(directory / WEIGHTS_NAME)
    tensors[name] = np.ascontiguousarray(edit(tensors[name].copy()))
    save_file(tensors, directory / WEIGHTS_NAME)


def _one_position(width: int) -> tuple[np.ndarray, np.ndarray]:
    """[D/2] cosines and sines that turn a head on by one position."""
    cosines, sines = rotary_tables(width, 2)
    return cosines[1], sines[1]


def _turn_queries_of_graph(directory: Path) -> None:
    """Queries are what the rotated heads are split into first; turn them once more."""
    model = _graph(directory, "decoder")
    cosines, sines = _one_position(read_manifest(directory).model.head_dim)
    arrays = {"one/cos": np.concatenate([cosines, cosines]), "one/sin": np.concatenate([-sines, sines])}
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in arrays.items())
    producers = {output: node.op_type for node in model.graph.node for output in node.output}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type == "Split" and producers.get(node.input[0]) == "Add":
            query = node.output[0]
            node.output[0] = f"{query}/right"
            nodes.extend(_turned(f"{query}/right", query))
    assert len(nodes) > len(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _save(model, directory, "decoder")


def _turned(x: str, name: str) -> list[onnx.NodeProto]:
    first, second, swapped = (f"{name}/{part}" for part in ("first", "second", "swapped"))
    return [
        helper.make_node("Split", [x], [first, second], axis=-1, num_outputs=2),
        helper.make_node("Concat", [second, first], [swapped], axis=-1),
        helper.make_node("Mul", [x, "one/cos"], [f"{name}/straight"]),
        helper.make_node("Mul", [swapped, "one/sin"], [f"{name}/crossed"]),
        helper.make_node("Add", [f"{name}/straight", f"{name}/crossed"], [name]),
    ]


def _turn_queries_of_bundle(directory: Path) -> None:
    """R(p + 1) W x = R(p) (R(1) W) x: the turn goes into the matrix, which is rounded to integers again."""
    tensors: dict[str, Any] = load_file(directory / WEIGHTS_NAME)
    config = read_manifest(directory).model
    cosines, sines = (values[:, None] for values in _one_position(config.head_dim))
    for layer in range(config.n_decoder_layers):
        name = f"decoder.layers.{layer}.self_attn.q_proj.weight"
        matrix = tensors[name].astype(np.float32) * tensors[f"{name}_scale"]
        first, second = np.split(matrix.reshape(config.n_heads, config.head_dim, -1), 2, axis=1)
        turned = np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=1)
        rows = turned.reshape(matrix.shape)
        scale = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
        tensors[name], tensors[f"{name}_scale"] = np.round(rows / scale).astype(np.int8), scale.astype(np.float32)
    save_file(tensors, directory / WEIGHTS_NAME)
