"""Faults planted in copies of bundles, float and int8: what an exporter that went wrong would have written.

A file of an engine that cannot be edited, as CTranslate2's, is made from such a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import WEIGHTS_NAME
from tests.lingolite_cli.evaluation.planted_graphs import disturb, exchange_heads, exchange_rows
from tests.lingolite_cli.evaluation.planted_operations import drop_normalization

Edit = Callable[[np.ndarray], np.ndarray]
Fault = Callable[[Path], None]


def edited(changes: dict[str, Edit]) -> Fault:
    """Tensors are changed; of those that only int8 bundles have, as scales, nothing is asked in others."""

    def plant(directory: Path) -> None:
        tensors = load_file(directory / WEIGHTS_NAME)
        for name, change in changes.items():
            if name in tensors:
                tensors[name] = np.ascontiguousarray(change(tensors[name].copy()).astype(tensors[name].dtype))
        save_file(tensors, directory / WEIGHTS_NAME)

    return plant


def rows(name: str, change: Edit) -> Fault:
    """The same change of a matrix's rows and of their scales."""
    return edited({f"{name}.weight": change, f"{name}.weight_scale": change})


def scaled(name: str, factor: float, part: slice = slice(None)) -> Fault:
    """Rows are multiplied: by their scales, or as they are where they have none."""

    def times(array: np.ndarray) -> np.ndarray:
        array[part] = (array[part] * np.float32(factor)).astype(array.dtype)
        return array

    def plant(directory: Path) -> None:
        is_int8 = f"{name}.weight_scale" in load_file(directory / WEIGHTS_NAME)
        edited({f"{name}.weight_scale" if is_int8 else f"{name}.weight": times})(directory)

    return plant


def exchanged(first: str, second: str) -> Fault:
    """Two tensors, with their scales, in each other's place."""

    def plant(directory: Path) -> None:
        tensors = load_file(directory / WEIGHTS_NAME)
        for end in (".weight", ".weight_scale"):
            one, other = f"{first}{end}", f"{second}{end}"
            if one in tensors:
                tensors[one], tensors[other] = tensors[other], tensors[one]
        save_file(tensors, directory / WEIGHTS_NAME)

    return plant


def turned(values: np.ndarray) -> np.ndarray:
    """Some rows with the other sign; LiteRT opens no file whose scales are negative."""
    values[4:20] = -values[4:20]
    return values


FAULTS: dict[str, Fault] = {
    "rows of cross-attention turned": edited({"decoder.layers.0.cross_attn.o_proj.weight": turned}),
    "keys of layers exchanged": exchanged("decoder.layers.0.cross_attn.k_proj", "decoder.layers.1.cross_attn.k_proj"),
    "gains of an encoder norm 1": edited({"encoder.layers.1.norm2.weight": np.ones_like}),
    "queries a third too large": scaled("decoder.layers.1.self_attn.q_proj", 4 / 3),
    "one weight in fifty": edited({"decoder.layers.0.ffn.down_proj.weight": disturb}),
    "heads exchanged": rows("decoder.layers.0.self_attn.q_proj", exchange_heads),
    "gate and up exchanged": exchanged("encoder.layers.3.ffn.gate_proj", "encoder.layers.3.ffn.up_proj"),
    "embedding rows exchanged": rows("encoder.embedding", exchange_rows(4000, 4007)),
    "normalization": drop_normalization,
}
"""By name."""

LOCATED = {
    "rows of cross-attention turned": "decoder.layers.0.cross_attn.o_proj",
    "keys of layers exchanged": "decoder.layers.0.cross_attn.k_proj",
    "gains of an encoder norm 1": "encoder.layers.1.norm2",
    "queries a third too large": "decoder.layers.1.self_attn.q_proj",
    "one weight in fifty": "decoder.layers.0.ffn.down_proj",
    "heads exchanged": "decoder.layers.0.self_attn.q_proj",
    "gate and up exchanged": "encoder.layers.3.ffn.gate_proj",
    "embedding rows exchanged": "encoder.embedding",
    "normalization": "tokenizer",
}
"""What is wrong in the file, where an engine shows its operations."""
