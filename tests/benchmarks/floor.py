"""How far a step at batch 1 is from its floor: the bytes that it must read, over the bandwidth of memory.

    python tests/benchmarks/floor.py

The bandwidth is measured here, by reading, in turns with the steps: from memory that no cache holds, and from as many
bytes as the step reads, over and over, which a large cache holds in part.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import onnx
from artifacts import ORT, Exported, export_int8
from models import MODELS

DECODER = "decoder_optimized.onnx"
_UNCACHED_BYTES = 512_000_000
_SOURCE, _STEPS = 24, 32


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model: MB that a step reads, GB/s of memory and of as many bytes read again and again, ms of a step."""

    model: str
    megabytes: float
    memory: float
    repeated: float
    milliseconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lingolite-floor-") as scratch:
        work = Path(asked.work or scratch).resolve()
        found = []
        for model in asked.model or ("starter", "tiny", "small"):
            (exported,) = export_int8(model, work, engines=[ORT])
            found.append(measure(model, exported, rounds=asked.rounds))
    sys.stdout.write("\n".join([*table(found), ""]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", choices=MODELS, help="repeatable; default: starter, tiny and small")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--work", type=Path, help="keep bundles and exports here, to use them again")
    return parser


def measure(model: str, exported: Exported, *, rounds: int) -> Floor:
    """Medians over rounds of reading and of steps, in turn."""
    num_bytes = bytes_of_a_step(exported)
    uncached, repeated = (np.ones(size // 8, np.int64) for size in (_UNCACHED_BYTES, num_bytes))
    config = exported.artifact.manifest.model
    ids = np.random.default_rng(0).integers(16, config.vocab_size // 4, (1, _SOURCE))
    memory, again, steps = [], [], []
    with exported.open(threads=1) as backend:
        for _ in range(rounds):
            memory.append(_UNCACHED_BYTES / 1e9 / _seconds_to_read(uncached))
            _seconds_to_read(repeated)
            again.append(num_bytes / 1e9 / _seconds_to_read(repeated))
            steps.append(1e3 * _seconds_a_step(backend, ids))
    return Floor(
        model=model,
        megabytes=num_bytes / 1e6,
        memory=median(memory),
        repeated=median(again),
        milliseconds=median(steps[1:]),
    )


def bytes_of_a_step(exported: Exported) -> int:
    """Of the initializers that the nodes of the decoder read whole: all but the table that tokens are looked up in."""
    graph = onnx.load(exported.artifact.path / DECODER, load_external_data=False).graph
    read = {name for node in graph.node if node.op_type != "GatherBlockQuantized" for name in node.input}
    return sum(
        int(np.prod(tensor.dims)) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for tensor in graph.initializer
        if tensor.name in read and not tensor.name.startswith("rotary")
    )


def _seconds_to_read(array: Any) -> float:
    started = time.perf_counter()
    array.max()
    return time.perf_counter() - started


def _seconds_a_step(backend: Any, ids: Any) -> float:
    state, tokens = backend.encode(ids, np.ones(ids.shape, np.bool_)), np.array([1])
    backend.step_top_k(state, tokens, 1)
    started = time.perf_counter()
    for _ in range(_STEPS):
        tokens = backend.step_top_k(state, tokens, 1)[0][:, 0]
    return (time.perf_counter() - started) / _STEPS


def table(found: Sequence[Floor]) -> list[str]:
    """In Markdown."""
    headings = ["model", "MB a step", "memory, GB/s", "the same bytes again, GB/s", "floor, ms", "step, ms", "share"]
    rows = [headings, ["---", *["--:"] * (len(headings) - 1)]]
    for each in found:
        floor = each.megabytes / max(each.memory, each.repeated)
        cells = (each.megabytes, each.memory, each.repeated, floor, each.milliseconds)
        rows.append([each.model, *(f"{value:.3g}" for value in cells), f"{floor / each.milliseconds:.0%}"])
    return [f"| {' | '.join(row)} |" for row in rows]


if __name__ == "__main__":
    main()
