"""Where a step of the ORT profile spends its time: ONNX Runtime's profile of the decoder, by operator.

    python tests/benchmarks/node_times.py --model small --rows 32

The model is in int8, sources have 20 tokens, and the profiler itself takes some of what it tells.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from artifacts import ORT, Exported, export_int8
from lingolite_onnx.ort import runner
from lingolite_onnx.ort.runner import OrtRunner
from lingolite_onnx.session import sessions
from models import MODELS

if TYPE_CHECKING:
    import onnxruntime as ort  # LingoLite imports it, with its telemetry switched off

_SOURCE = 20
_FIRST_WORD = 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    asked = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lingolite-nodes-") as scratch:
        work = Path(asked.work or scratch).resolve()
        (exported,) = export_int8(asked.model, work, engines=[ORT])
        times, calls = measure(exported, rows=asked.rows, k=asked.k, steps=asked.steps, directory=Path(scratch))
    sys.stdout.write("\n".join([*table(times, calls), ""]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="starter")
    parser.add_argument("--rows", type=int, default=1, help="sentences of a batch, or beams")
    parser.add_argument("--k", type=int, default=1, help="candidates of each row: twice as many as beams")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--work", type=Path, help="keep bundles and exports here, to use them again")
    return parser


def measure(
    exported: Exported, *, rows: int, k: int, steps: int, directory: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """Microseconds and calls of each operator in a step, the means over `steps` after as many of warm-up.

    Args:
        exported: the model, of the ORT profile.
        rows: of the batch.
        k: candidates that are chosen for each.
        steps: target tokens.
        directory: for the profiler's files.
    """
    opened: list[ort.InferenceSession] = []
    original = sessions.session_options

    def profiled(threads: int) -> ort.SessionOptions:
        options = original(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(directory / "profile")
        return options

    def remembered(path: Path, *, threads: int, entries: Mapping[str, str] | None) -> ort.InferenceSession:
        opened.append(sessions.open_session(path, threads=threads, entries=entries))
        return opened[-1]

    config = exported.artifact.manifest.model
    ids = np.random.default_rng(0).integers(_FIRST_WORD, config.vocab_size // 4, (rows, _SOURCE))
    with (
        mock.patch.object(sessions, "session_options", profiled),
        mock.patch.object(runner, "open_session", remembered),
    ):
        backend = OrtRunner(exported.artifact.path, config, max_seq_len=config.max_seq_len, threads=1)
        for _ in range(2):
            state, tokens = backend.encode(ids, np.ones_like(ids, np.bool_)), np.ones(rows, np.int64)
            for _ in range(steps):
                best, _ = backend.step_top_k(state, tokens, k)
                tokens = best[:, 0]
    events = json.loads(Path(opened[-1].end_profiling()).read_text(encoding="utf-8"))  # the decoder is opened last
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    times: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in events:
        if event["name"].endswith("kernel_time") and event["ts"] >= starts[steps]:
            times[event["args"]["op_name"]] += event["dur"]
            calls[event["args"]["op_name"]] += 1
    per_step = [{name: value / steps for name, value in counted.items()} for counted in (times, calls)]
    return per_step[0], per_step[1]


def table(times: Mapping[str, float], calls: Mapping[str, float]) -> list[str]:
    """In Markdown, the slowest operators first."""
    rows = [["operator", "µs a step", "calls"], ["---", "--:", "--:"]]
    rows.append(["all", f"{sum(times.values()):,.0f}", f"{sum(calls.values()):.0f}"])
    for name, microseconds in sorted(times.items(), key=lambda item: -item[1]):
        rows.append([f"`{name}`", f"{microseconds:,.0f}", f"{calls[name]:.0f}"])
    return [f"| {' | '.join(row)} |" for row in rows]


if __name__ == "__main__":
    main()
