"""Weights are written tensor by tensor, to the bytes that the safetensors library writes."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save

from lingolite_cli.weights.bundle import write_tensors

DTYPES = (np.float64, np.float32, np.float16, np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_)


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    tensors = {
        f"{letter}.{np.dtype(dtype).name}.é": random.integers(0, 2, (3, place + 1)).astype(dtype)
        for place, dtype in enumerate((*DTYPES, ml_dtypes.bfloat16))
        for letter in "ba"
    }
    tensors["scalar"] = np.float32(3).reshape(())
    tensors["turned"] = random.normal(size=(4, 7)).astype(np.float32).T
    tensors["empty"] = np.zeros((0, 5), np.float32)
    write_tensors(tensors, tmp_path)
    expected = save({name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in tensors.items()})
    assert (tmp_path / "model.safetensors").read_bytes() == expected
