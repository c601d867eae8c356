"""Faults of single operations, planted in copies of portable ONNX files: what `verify` must locate.

Each is planted by `planted_faults.plant`, which gives the copy a manifest that fits. They know the files and nothing of
the code that locates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lingolite_cli.artifact import TOKENIZER_NAME, read_manifest

FROZEN_FROM = 48
"""The position from which on rotary tables stand still."""


def turn_rows_of_cross_attention(directory: Path) -> None:
    """Sixteen output rows of a cross-attention matrix have their sign turned."""

    def turn(columns: np.ndarray) -> np.ndarray:
        columns[:, 4:20] *= -1
        return columns

    edit(directory, "decoder", "decoder.layers.0.cross_attn.o_proj", turn)


def exchange_keys_of_layers(directory: Path) -> None:
    """The first two decoder layers read each other's keys of the source."""
    model = load(directory, "decoder")
    names = {"cross_key_0": "cross_key_1", "cross_key_1": "cross_key_0"}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)
    save(model, directory, "decoder")


def flatten_encoder_norm(directory: Path) -> None:
    """The gains of an encoder norm are 1."""
    edit(directory, "encoder", "encoder.layers.1.norm2", np.ones_like)


def shrink_decoder_embedding(directory: Path) -> None:
    """The decoder scales embeddings by three quarters of what it should."""
    model = load(directory, "decoder")
    right = np.float32(np.sqrt(read_manifest(directory).model.d_model))
    scalars = {
        tensor.name for tensor in model.graph.initializer if not tensor.dims and numpy_helper.to_array(tensor) == right
    }
    (node,) = (node for node in model.graph.node if node.op_type == "Mul" and not scalars.isdisjoint(node.input))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(right * 0.75), "wrong_scale"))
    node.input[1] = "wrong_scale"
    save(model, directory, "decoder")


def freeze_positions(directory: Path) -> None:
    """From a position on, all have the rotary angles of that one."""
    start = min(FROZEN_FROM, read_manifest(directory).model.max_seq_len // 2)

    def freeze(table: np.ndarray) -> np.ndarray:
        table[start:] = table[start]
        return table

    for name in ("rotary_cosines", "rotary_sines"):
        edit(directory, "decoder", name, freeze)


def exchange_embedding_rows(first: int, second: int) -> Callable[[Path], None]:
    """Two tokens have each other's embedding."""

    def exchange(rows: np.ndarray) -> np.ndarray:
        rows[[first, second]] = rows[[second, first]]
        return rows

    def plant(directory: Path) -> None:
        for name in ("embedding", "embedding.scale"):
            edit(directory, "decoder", name, exchange)

    return plant


def drop_normalization(directory: Path) -> None:
    """The tokenizer takes text as it comes."""
    from sentencepiece import sentencepiece_model_pb2 as protocol

    path = directory / TOKENIZER_NAME
    model = protocol.ModelProto.FromString(path.read_bytes())
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.precompiled_charsmap = b""
    path.write_bytes(model.SerializeToString())


def enlarge_queries(directory: Path) -> None:
    """The queries of a decoder layer are a third too large, by the scale of their rows."""
    config = read_manifest(directory).model
    name = "+".join(f"decoder.layers.1.self_attn.{part}_proj" for part in "qkv")

    def enlarge(scale: np.ndarray) -> np.ndarray:
        scale[: config.d_model] *= np.float32(4 / 3)
        return scale

    edit(directory, "decoder", f"{name}.scale", enlarge)


def disturb_feed_forward(directory: Path) -> None:
    """One weight in fifty of the decoder's feed-forward matrices is off by three."""
    generator = np.random.default_rng(5)

    def disturb(values: np.ndarray) -> np.ndarray:
        chosen = generator.random(values.shape) < 0.02
        wrong = values.astype(np.int16) + np.where(chosen, generator.choice([-3, 3], values.shape), 0)
        return wrong.clip(-127, 127).astype(np.int8)

    for layer in range(read_manifest(directory).model.n_decoder_layers):
        edit(directory, "decoder", f"decoder.layers.{layer}.ffn.down_proj", disturb)


def exchange_outputs_of_cache(directory: Path) -> None:
    """The decoder gives the caches of two layers in each other's place."""
    model = load(directory, "decoder")
    outputs = [value.name for value in model.graph.output]
    one, other = outputs.index("present_value_0"), outputs.index("present_value_1")
    values = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in model.graph.output]
    values[one], values[other] = values[other], values[one]
    del model.graph.output[:]
    model.graph.output.extend(values)
    save(model, directory, "decoder")


def load(directory: Path, graph: str) -> onnx.ModelProto:
    """A graph without its weights."""
    return onnx.load(directory / f"{graph}.onnx", load_external_data=False)


def save(model: onnx.ModelProto, directory: Path, graph: str) -> None:
    """Write a graph in its place."""
    (directory / f"{graph}.onnx").write_bytes(model.SerializeToString())


def edit(directory: Path, graph: str, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change an initializer, whether it lies in the graph or in the file of weights, which graphs share."""
    model = load(directory, graph)
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        where = {entry.key: entry.value for entry in tensor.external_data}
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        shape: tuple[int, ...] = tuple(tensor.dims)
        array = np.memmap(directory / where["location"], dtype, "r+", offset=int(where["offset"]), shape=shape)
        array[:] = change(np.array(array))
        array.flush()
        return
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))
    save(model, directory, graph)


def all_faults(vocab_size: int) -> Iterator[tuple[str, Callable[[Path], None], str]]:
    """Name, fault, and what the name that is located must hold."""
    yield "rows of cross-attention turned", turn_rows_of_cross_attention, "decoder.layers.0.cross_attn.o_proj"
    yield "keys of layers exchanged", exchange_keys_of_layers, "decoder.layers.0.cross_attn"
    yield "gains of a norm 1", flatten_encoder_norm, "encoder.layers.1.norm2"
    yield "decoder's embedding scale", shrink_decoder_embedding, "decoder.embedding"
    yield "positions frozen", freeze_positions, "layers.0.self_attn.rotated_query"
    rows = vocab_size // 2, vocab_size // 2 + 7
    yield "embedding rows exchanged", exchange_embedding_rows(*rows), "encoder.embedding"
    yield "normalization", drop_normalization, "tokenizer"
    yield "queries a third too large", enlarge_queries, "decoder.layers.1.self_attn.q_proj"
    yield "one weight in fifty", disturb_feed_forward, "decoder.layers.0.ffn.down_proj"
    yield "outputs of the cache exchanged", exchange_outputs_of_cache, "decoder.layers.0.self_attn.value_cache"
