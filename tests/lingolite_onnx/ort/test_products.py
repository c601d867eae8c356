"""Both ways to multiply, against integers in float64; and each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lingolite_onnx.graph import GraphBuilder, WeightFile, write_model
from lingolite_onnx.interface import Interface, Value
from lingolite_onnx.ort.blocks import block_size, blocks
from lingolite_onnx.ort.many_rows import ManyRows, ManyRowsOfBlocks
from lingolite_onnx.ort.products import FewRows, Gated, Products
from lingolite_onnx.session.sessions import open_session

from lingolite_cli.weights.bundle import Matrix
from lingolite_cli.weights.groups import GroupedMatrix, quantize_groups
from tests.lingolite_onnx.onnx_bundles import needs_exact_int8

Array = npt.NDArray[Any]


def matrix(rows: int, columns: int, seed: int = 3) -> Matrix:
    random = np.random.default_rng(seed)
    integers = random.integers(-127, 128, (rows, columns)).astype(np.int8)
    return Matrix(integers, random.uniform(0.01, 0.02, rows).astype(np.float32))


def product(directory: Path, kind: type[Products], weights: Matrix | GroupedMatrix, x: Array) -> Array:
    """What ONNX Runtime makes of it."""
    graph = GraphBuilder("product", WeightFile(directory / f"{kind.__name__}.bin"))
    kind(graph).product("x", weights, name="matrix", output="y")
    num_outputs = len(weights.packed if isinstance(weights, GroupedMatrix) else weights.values)
    return run(directory, graph, num_outputs, {"x": x})


def run(directory: Path, graph: GraphBuilder, num_outputs: int, inputs: dict[str, Array]) -> Array:
    """`y` [rows, 1, num_outputs]."""
    interface = Interface(
        tuple(Value(name, "float32", ("rows", 1, array.shape[2]), "") for name, array in inputs.items()),
        (Value("y", "float32", ("rows", 1, num_outputs), ""),),
    )
    model = graph.model(interface, opset_version=18)
    write_model(model, directory / "product.onnx")
    (y,) = open_session(directory / "product.onnx", threads=1).run(None, inputs)
    found: Array = y
    return found


def expected(weights: Matrix, x: Array, block: int) -> Array:
    """Rounded by `block` neighbours, summed exactly."""
    assert weights.scale is not None
    total = np.zeros((*x.shape[:-1], len(weights.values)))
    for start in range(0, x.shape[-1], block):
        part = x[..., start : start + block].astype(np.float64)
        scale = np.abs(part).max(axis=-1, keepdims=True) / 127
        total += np.rint(part / scale) @ weights.values[:, start : start + block].astype(np.float64).T * scale
    product: Array = total * weights.scale
    return product


@needs_exact_int8
@pytest.mark.parametrize("columns", [16, 40, 48, 256, 512, 768])
@pytest.mark.parametrize("rows", [1, 5])
def test_a_decoder_rounds_by_block_and_sums_exactly(tmp_path: Path, columns: int, rows: int) -> None:
    """40 is padded to a block of 64; 512 and 768 have two and three blocks."""
    weights = matrix(24, columns)
    x = np.random.default_rng(4).standard_normal((rows, 1, columns)).astype(np.float32)
    wanted = expected(weights, x, block_size(columns))
    for kind in (FewRows, ManyRowsOfBlocks):
        found = product(tmp_path, kind, weights, x)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=kind.__name__)


@needs_exact_int8
def test_the_encoder_rounds_by_row(tmp_path: Path) -> None:
    weights = matrix(24, 512)
    x = np.random.default_rng(4).standard_normal((5, 1, 512)).astype(np.float32)
    wanted = expected(weights, x, 512)
    found = product(tmp_path, ManyRows, weights, x)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@needs_exact_int8
@pytest.mark.parametrize("columns", [48, 512, 768])
def test_a_product_is_added_to_what_was_there(tmp_path: Path, columns: int) -> None:
    weights = matrix(24, columns)
    random = np.random.default_rng(4)
    x, before = (random.standard_normal((5, 1, width)).astype(np.float32) for width in (columns, 24))
    wanted = before + expected(weights, x, block_size(columns))
    for kind in (FewRows, ManyRowsOfBlocks):
        graph = GraphBuilder("sum", WeightFile(tmp_path / f"{kind.__name__}.bin"))
        graph.op("Identity", kind(graph).product("x", weights, name="matrix", plus="before"), name="y")
        found = run(tmp_path, graph, 24, {"x": x, "before": before})
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=kind.__name__)


@needs_exact_int8
@pytest.mark.parametrize("kind", [FewRows, ManyRows, ManyRowsOfBlocks])
@pytest.mark.parametrize("columns", [48, 512, 768])
def test_swiglu_is_rounded_twice_and_added_to_what_was_there(
    tmp_path: Path, kind: type[Products], columns: int
) -> None:
    """768 has too many blocks for products by columns."""
    gate, up, down = matrix(32, columns, seed=5), matrix(32, columns, seed=6), matrix(24, 32, seed=7)
    random = np.random.default_rng(4)
    x, before = (random.standard_normal((5, 1, width)).astype(np.float32) for width in (columns, 24))
    together = columns if kind is ManyRows else block_size(columns)
    gated, scaled = expected(gate, x, together), expected(up, x, together)
    wanted = before + expected(down, gated / (1 + np.exp(-gated)) * scaled, 32)
    graph = GraphBuilder("swiglu", WeightFile(tmp_path / "weights.bin"))
    names = ("gate", "up", "down")
    graph.op("Identity", kind(graph).gated("x", Gated(gate, up, down), names=names, plus="before"), name="y")
    found = run(tmp_path, graph, 24, {"x": x, "before": before})
    level = np.abs(wanted).max() / 127  # an activation between two levels may be rounded either way
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.2 * level)


@needs_exact_int8
def test_rows_of_zeros_give_zeros(tmp_path: Path) -> None:
    x = np.zeros((2, 1, 48), np.float32)
    for kind in (FewRows, ManyRows, ManyRowsOfBlocks):
        np.testing.assert_array_equal(product(tmp_path, kind, matrix(24, 48), x), 0)


def test_both_decoders_share_the_bytes(tmp_path: Path) -> None:
    weight_file = WeightFile(tmp_path / "weights.bin")
    sizes = []
    for kind in (FewRows, ManyRowsOfBlocks):
        kind(GraphBuilder("product", weight_file)).product("x", matrix(300, 256), name="matrix")
        sizes.append((tmp_path / "weights.bin").stat().st_size)
    scales = 300 * 4
    assert sizes[0] >= 300 * 256
    assert sizes[1] - sizes[0] < scales + 64


@pytest.mark.parametrize(("columns", "size"), [(16, 16), (48, 16), (40, 64), (256, 256), (768, 256), (2048, 256)])
def test_a_block_is_a_power_of_two_of_at_most_256(columns: int, size: int) -> None:
    assert block_size(columns) == size
    stored, scales = blocks(matrix(7, columns))
    assert stored.shape == (7, -(-columns // size), size)
    assert scales.shape == stored.shape[:2]
    np.testing.assert_array_equal(stored.reshape(7, -1)[:, :columns].astype(int) - 128, matrix(7, columns).values)
    assert (stored.reshape(7, -1)[:, columns:] == 128).all()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", [1, 5])
def test_matrices_by_groups_meet_activations_rounded_by_group(tmp_path: Path, bits: int, rows: int) -> None:
    weights = np.random.default_rng(5).standard_normal((24, 96)).astype(np.float32)
    grouped = quantize_groups(weights, bits=bits, group_size=32, is_symmetric=bits == 8)
    x = np.random.default_rng(4).standard_normal((rows, 1, 96)).astype(np.float32)
    parts = np.split(x.astype(np.float64), 3, axis=-1)
    scales = [np.abs(part).max(axis=-1, keepdims=True) / 127 for part in parts]
    rounded = [np.rint(part / scale) * scale for part, scale in zip(parts, scales, strict=True)]
    wanted = np.concatenate(rounded, axis=-1) @ grouped.dequantized().astype(np.float64).T
    for kind in (FewRows, ManyRowsOfBlocks):
        found = product(tmp_path, kind, grouped, x)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max(), err_msg=kind.__name__)
