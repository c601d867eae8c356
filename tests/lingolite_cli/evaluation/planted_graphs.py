"""Faults planted in copies of ONNX files of any profile and precision, by the names of weights and the kinds of nodes.

A matrix lies in the files as [in, out] int8, or as rows of blocks with scales and zero points, alone or beside others
over the same input. `edit_rows` finds a matrix wherever it lies. The functions that plant take a directory, as those of
`planted_operations` do. They know the files and nothing of the code that locates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lingolite_cli.architecture.tensors import tensor_specs
from lingolite_cli.artifact import read_manifest
from tests.lingolite_cli.evaluation.planted_operations import drop_normalization

Edit = Callable[[np.ndarray], np.ndarray]
Fault = Callable[[Path], None]

WEIGHTS = ("", ".blocks")
SCALES = (".scale",)
"""Ends of the names of arrays that hold a matrix."""


def graphs(directory: Path, stack: str = "") -> Iterator[tuple[Path, onnx.ModelProto]]:
    """Every graph of a stack, `encoder` or `decoder`, without its weights."""
    for path in sorted(directory.glob(f"{stack}*.onnx")):
        yield path, onnx.load(path, load_external_data=False)


def edit_initializers(
    directory: Path, matches: Callable[[str], bool], change: Callable[[str, np.ndarray], np.ndarray]
) -> None:
    """Change initializers by their names, in the graphs and in the file of weights; each place in that file once."""
    done: set[tuple[str, str]] = set()
    found = False
    for path, model in graphs(directory):
        is_changed = False
        for tensor in model.graph.initializer:
            if not matches(tensor.name):
                continue
            found = True
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                where = {entry.key: entry.value for entry in tensor.external_data}
                place = where["location"], where["offset"]
                if place not in done:
                    done.add(place)
                    _edit_bytes(directory, tensor, where, change)
            else:
                array = change(tensor.name, numpy_helper.to_array(tensor).copy())
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
                is_changed = True
        if is_changed:
            path.write_bytes(model.SerializeToString())
    if not found:
        raise LookupError("there is nothing to change")


def _edit_bytes(
    directory: Path, tensor: onnx.TensorProto, where: dict[str, str], change: Callable[[str, np.ndarray], np.ndarray]
) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape: tuple[int, ...] = tuple(tensor.dims)
    array = np.memmap(directory / where["location"], dtype, "r+", offset=int(where["offset"]), shape=shape)
    array[:] = change(tensor.name, np.array(array))
    array.flush()


def edit_rows(
    directory: Path, name: str, change: Edit, *, parts: tuple[str, ...] = ("", ".blocks", ".scale", ".zero_point")
) -> None:
    """Change the rows of one matrix, [rows, …], in each of the arrays that hold it; `parts` are the ends of names."""
    heights = {spec.name: spec.shape[0] for spec in tensor_specs(read_manifest(directory).model) if spec.is_matrix}

    def own(initializer: str) -> tuple[int, int, str] | None:
        joined, end = initializer, ""
        for candidate in (".blocks", ".scale", ".zero_point"):
            if initializer.endswith(candidate):
                joined, end = initializer.removesuffix(candidate), candidate
        names = joined.split("+")
        if name not in names or end not in parts:
            return None
        start = sum(heights[one] for one in names[: names.index(name)])
        return start, start + heights[name], end

    def changed(initializer: str, array: np.ndarray) -> np.ndarray:
        found = own(initializer)
        assert found is not None
        start, stop, end = found
        turned = array.T if end == "" and array.ndim == 2 else array
        turned[start:stop] = change(turned[start:stop].copy())
        return array

    edit_initializers(directory, lambda initializer: own(initializer) is not None, changed)


def exchange_matrices(directory: Path, first: str, second: str) -> None:
    """Two matrices of one shape in each other's place."""
    kept: dict[str, list[np.ndarray]] = {first: [], second: []}
    for name in (first, second):
        edit_rows(directory, name, lambda rows, name=name: (kept[name].append(rows.copy()), rows)[1])  # type: ignore[misc]
    for name, other in ((first, second), (second, first)):
        edit_rows(directory, name, lambda rows, other=other: kept[other].pop(0).reshape(rows.shape))  # type: ignore[misc]


def edit_nodes(
    directory: Path, stack: str, change: Callable[[onnx.NodeProto], bool], *, first_only: bool = False
) -> None:
    """Change nodes of a stack's graphs; `change` says whether it did."""
    num_changed = 0
    for path, model in graphs(directory, stack):
        for node in model.graph.node:
            if change(node):
                num_changed += 1
                if first_only:
                    break
        path.write_bytes(model.SerializeToString())
    assert num_changed, "there is nothing to change"


def on_rows(name: str, change: Edit, **options: object) -> Fault:
    return lambda directory: edit_rows(directory, name, change, **options)  # type: ignore[arg-type]


def on_initializers(names: tuple[str, ...], change: Edit) -> Fault:
    return lambda directory: edit_initializers(directory, lambda name: name in names, lambda _, array: change(array))


def set_attribute(stack: str, op_type: str, name: str, value: object, *, first_only: bool = False) -> Fault:
    def change(node: onnx.NodeProto) -> bool:
        if node.op_type != op_type:
            return False
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])
        return True

    return lambda directory: edit_nodes(directory, stack, change, first_only=first_only)


def scaled(name: str, factor: float, rows: slice = slice(None)) -> Fault:
    """Rows of a matrix are multiplied: by their scales, or as they are where they have none."""

    def plant(directory: Path) -> None:
        try:
            edit_rows(directory, name, times(factor, rows), parts=SCALES)
        except LookupError:
            edit_rows(directory, name, times(factor, rows), parts=WEIGHTS)

    return plant


def exchange_heads(rows: np.ndarray) -> np.ndarray:
    """The first two of four heads."""
    height = len(rows) // 4
    rows[:height], rows[height : 2 * height] = rows[height : 2 * height].copy(), rows[:height].copy()
    return rows


def exchange_rows(first: int, second: int) -> Edit:
    def exchange(rows: np.ndarray) -> np.ndarray:
        rows[[first, second]] = rows[[second, first]]
        return rows

    return exchange


def times(factor: float, rows: slice = slice(None)) -> Edit:
    def change(array: np.ndarray) -> np.ndarray:
        array[rows] = (array[rows] * np.float32(factor)).astype(array.dtype)
        return array

    return change


def invert_group(array: np.ndarray) -> np.ndarray:
    """The nibbles, or the bytes, of 16 bytes of one row."""
    row = array[5].reshape(-1)
    row[:16] = -row[:16] if row.dtype.kind == "f" else np.bitwise_not(row[:16])
    array[5] = row.reshape(array[5].shape)
    return array


def freeze(table: np.ndarray) -> np.ndarray:
    table[48:] = table[48]
    return table


def roll(table: np.ndarray) -> np.ndarray:
    return np.roll(table, -1, axis=0)


def disturb(values: np.ndarray) -> np.ndarray:
    """One in fifty is off by three."""
    generator = np.random.default_rng(5)
    chosen = generator.random(values.shape) < 0.02
    if values.dtype.kind == "f":
        step = 3 / 127 * np.abs(values).max()
        return (values + np.where(chosen, generator.choice([-step, step], values.shape), 0)).astype(values.dtype)
    limits = np.iinfo(values.dtype)
    wrong = values.astype(np.int16) + np.where(chosen, generator.choice([-3, 3], values.shape), 0)
    return wrong.clip(limits.min + 1, limits.max).astype(values.dtype)


FAULTS: dict[str, tuple[Fault, str]] = {
    "rows of cross-attention turned": (
        scaled("decoder.layers.0.cross_attn.o_proj", -1.0, slice(4, 20)),
        "decoder.layers.0.cross_attn.o_proj",
    ),
    "gains of an encoder norm 1": (
        on_initializers(("encoder.layers.1.norm2",), np.ones_like),
        "encoder.layers.1.norm2",
    ),
    "gains of a decoder norm exchanged": (
        on_initializers(("decoder.layers.1.norm2",), lambda gains: gains[::-1].copy()),
        "decoder.layers.1.norm2",
    ),
    "last norm scaled": (on_initializers(("decoder.final_norm",), times(1.5)), "decoder.final_norm"),
    "positions frozen": (on_initializers(("rotary_cosines", "rotary_sines"), freeze), "encoder.layers.0.self_attn"),
    "positions off by one": (on_initializers(("rotary_cosines",), roll), "encoder.layers.0.self_attn"),
    "queries a third too large": (
        scaled("decoder.layers.1.self_attn.q_proj", 4 / 3),
        "decoder.layers.1.self_attn.q_proj",
    ),
    "scale of one row": (
        scaled("encoder.layers.2.self_attn.v_proj", 2.0, slice(7, 8)),
        "encoder.layers.2.self_attn.v_proj",
    ),
    "one weight in fifty": (
        on_rows("decoder.layers.0.ffn.down_proj", disturb, parts=WEIGHTS),
        "decoder.layers.0.ffn.down_proj",
    ),
    "one group of a row inverted": (
        on_rows("decoder.layers.1.cross_attn.q_proj", invert_group, parts=WEIGHTS),
        "decoder.layers.1.cross_attn.q_proj",
    ),
    "heads exchanged": (
        on_rows("decoder.layers.0.self_attn.q_proj", exchange_heads),
        "decoder.layers.0.self_attn.q_proj",
    ),
    "gate and up exchanged": (
        lambda directory: exchange_matrices(
            directory, "encoder.layers.3.ffn.gate_proj", "encoder.layers.3.ffn.up_proj"
        ),
        "encoder.layers.3.ffn.gate_proj",
    ),
    "matrices of layers exchanged": (
        lambda directory: exchange_matrices(
            directory, "encoder.layers.1.self_attn.o_proj", "encoder.layers.2.self_attn.o_proj"
        ),
        "encoder.layers.1.self_attn.o_proj",
    ),
    "keys of cross-attention in the wrong layer": (
        lambda directory: exchange_matrices(
            directory, "decoder.layers.0.cross_attn.k_proj", "decoder.layers.1.cross_attn.k_proj"
        ),
        "decoder.layers.0.cross_attn.k_proj",
    ),
    "embedding rows exchanged": (
        on_initializers(("embedding", "embedding.scale", "embedding.zero_point"), exchange_rows(4000, 4007)),
        "encoder.embedding",
    ),
    "normalization": (drop_normalization, "tokenizer"),
}
"""Name, fault, and what the name that is located must hold: faults of weights, in every format."""
