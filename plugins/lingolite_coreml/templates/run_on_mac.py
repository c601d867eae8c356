#!/usr/bin/env python3
"""Run a Core ML translation model on this Mac, and write down what it said and how long it took.

    python3 -m pip install coremltools numpy
    python3 run_on_mac.py --out result.json

The directory that this file lies in holds the packages, `interface.json` and `sentences.json`; nothing else is needed.
Give result.json to whoever made the directory: `lingolite verify` reads it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

try:
    import coremltools
    import numpy as np
except ImportError as missing:
    sys.exit(f"{missing}; run: python3 -m pip install coremltools numpy")

HERE = Path(__file__).resolve().parent
TIMED_SENTENCES = 64
MIN_ROUNDS = 6


class Model:
    """Both functions, one sentence at a time."""

    def __init__(self, directory: Path, compute_units: str) -> None:
        self.interface = json.loads((directory / "interface.json").read_text(encoding="utf-8"))
        self.dtype = np.dtype(self.interface["compute"])
        self.functions: dict[str, Any] = {}
        for name, described in self.interface["functions"].items():
            function = described["function"]
            self.functions[name] = coremltools.models.MLModel(
                str(directory / described["package"]),
                compute_units=getattr(coremltools.ComputeUnit, compute_units),
                function_name=None if function == "main" else function,
            )
        self.decode = self.interface["functions"]["decode"]
        self.source = [value["name"] for value in self.interface["functions"]["encode"]["outputs"]]

    def begin(self, ids: list[int]) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """What the decoder reads of a source, its past and its states, before the first token."""
        given, mask, positions = np.array([ids], np.int32), {}, self.interface["positions"]
        if any(value["name"] == "source_mask" for value in self.decode["inputs"]):
            given = np.pad(given, ((0, 0), (0, positions - len(ids))))
            mask = {"source_mask": (np.arange(positions) < len(ids)).astype(self.dtype)[None]}
        found = self.functions["encode"].predict({"source_ids": given, **mask})
        source = {**mask, **{name: found[name].astype(self.dtype) for name in self.source}}
        past = {
            value["name"]: np.zeros(value["shape"], self.dtype)
            for value in self.decode["inputs"]
            if value["name"].startswith("past_")
        }
        return source, past, self.functions["decode"].make_state() if self.decode["states"] else None

    def step(
        self, token: int, position: int, source: dict[str, Any], past: dict[str, Any], state: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [V], and the past of the next step."""
        given = {"token": np.array([[token]], np.int32), "position": np.array([position], np.int32), **source, **past}
        decode = self.functions["decode"]
        found = decode.predict(given) if state is None else decode.predict(given, state=state)
        past = {name: found["present_" + name[len("past_") :]].astype(self.dtype) for name in past}
        return found["logits"][0], past

    def translate(
        self, ids: list[int], rules: dict[str, Any], limit: int, *, with_scores: bool = False
    ) -> tuple[list[int], float, float]:
        """Greedy tokens, their log-probability where it is asked for, and seconds until the first token."""
        began = time.perf_counter()
        source, past, state = self.begin(ids)
        read = [rules["start"], *rules["prefix"]]
        tokens: list[int] = []
        total, first, position = 0.0, 0.0, 0
        while len(tokens) < limit and position < self.interface["positions"]:
            for token in read:
                logits, past = self.step(token, position, source, past, state)
                position += 1
            allowed = logits.astype(np.float32)
            allowed[rules["never_generated"]] = -np.inf
            if len(tokens) < rules["min_length"]:
                allowed[rules["end"]] = -np.inf
            best = int(allowed.argmax())
            if with_scores:
                shifted = logits.astype(np.float64) - logits.max()
                total += float(shifted[best] - np.log(np.exp(shifted).sum()))
            first = first or time.perf_counter() - began
            tokens.append(best)
            read = [best]
            if best == rules["end"]:
                break
        return tokens, total, first


def limit_of(rules: dict[str, Any], ids: list[int]) -> int:
    """Most target tokens of a source."""
    factor = rules["max_length_factor"]
    most: int = rules["max_length"]
    return most if factor is None else min(most, max(1, rules["min_length"], int(factor * len(ids))))


def translate_all(directory: Path, given: dict[str, Any], compute_units: str) -> list[dict[str, Any]]:
    """Every sentence, with scores."""
    model, rules = Model(directory, compute_units), given["rules"]
    found = []
    for number, ids in enumerate(given["sentences"], 1):
        tokens, total, _ = model.translate(ids, rules, limit_of(rules, ids), with_scores=True)
        found.append(
            {"ids": ids, "tokens": tokens, "log_probability": total, "is_finished": tokens[-1:] == [rules["end"]]}
        )
        print(f"\rtranslated {number} of {len(given['sentences'])}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return found


def time_round(directory: Path, given: dict[str, Any], compute_units: str, *, started: float) -> dict[str, Any]:
    """One round in this fresh process, which was started at a time of the clock: to the last sentence."""
    began = time.perf_counter()
    model, rules = Model(directory, compute_units), given["rules"]
    loaded = time.perf_counter() - began
    timed = given["sentences"][:TIMED_SENTENCES]
    model.translate(timed[0], rules, limit_of(rules, timed[0]))
    cold_start = time.time() - started
    for ids in timed[:4]:
        model.translate(ids, rules, limit_of(rules, ids))
    firsts = [model.translate(ids, rules, 1)[2] for ids in timed]
    latencies, num_tokens = [], 0
    for ids in timed:
        began = time.perf_counter()
        num_tokens += len(model.translate(ids, rules, limit_of(rules, ids))[0])
        latencies.append(time.perf_counter() - began)
    # In bytes on macOS, in KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "load_seconds": loaded,
        "cold_start_seconds": cold_start,
        "first_token_latencies_ms": [1000 * seconds for seconds in firsts],
        "latencies_ms": [1000 * seconds for seconds in latencies],
        "num_tokens": num_tokens,
        "seconds": sum(latencies),
        "peak_memory_mb": peak / 1e6,
    }


def machine() -> dict[str, str]:
    """What this is run on."""

    def ask(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    return {
        "model": ask("sysctl", "-n", "hw.model"),
        "processor": ask("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine(),
        "system": f"macOS {platform.mac_ver()[0]}" if platform.mac_ver()[0] else platform.platform(),
    }


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file of the packages."""
    files = sorted(path for path in directory.glob("*.mlpackage/**/*") if path.is_file())
    return {path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", nargs="?", type=Path, default=HERE, help="default: where this file lies")
    parser.add_argument("--out", type=Path, required=True, help="the result, JSON")
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS, help="timed, each in a fresh process; default: 6")
    parser.add_argument(
        "--compute-units", default="ALL", choices=["ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"], help="default: ALL"
    )
    parser.add_argument("--one-round", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if 0 < arguments.rounds < MIN_ROUNDS:
        parser.error(f"{arguments.rounds} rounds are too few for a verdict: {MIN_ROUNDS} at least, or 0 for no times")
    directory = arguments.directory
    try:
        given = json.loads((directory / "sentences.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        parser.error(f"{directory} has no readable sentences.json: {error}")
    if arguments.one_round is not None:
        timed = time_round(directory, given, arguments.compute_units, started=arguments.one_round)
        arguments.out.write_text(json.dumps(timed))
        return
    if digests(directory) != given["files"]:
        parser.error(f"the packages in {directory} are not those that sentences.json was made for; copy them again")
    if arguments.out.exists() or not arguments.out.resolve().parent.is_dir():
        parser.error(f"{arguments.out} exists, or its directory does not; choose another name")
    translations = translate_all(directory, given, arguments.compute_units)
    rounds, part = [], arguments.out.with_suffix(".round")
    for number in range(arguments.rounds):
        command = [sys.executable, __file__, str(directory), "--out", str(part)]
        options = ["--compute-units", arguments.compute_units, "--one-round", str(time.time())]
        subprocess.run([*command, *options], check=True)
        rounds.append(json.loads(part.read_text()))
        part.unlink()
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    result = {
        "schema": 1,
        "artifact": given["artifact"],
        "files": given["files"],
        "machine": machine(),
        "coremltools": coremltools.__version__,
        "compute_units": arguments.compute_units,
        "rules": given["rules"],
        "translations": translations,
        "num_timed": len(given["sentences"][:TIMED_SENTENCES]),
        "rounds": rounds,
    }
    arguments.out.write_text(json.dumps(result), encoding="utf-8")
    latency = statistics.median(rounds[-1]["latencies_ms"]) if rounds else float("nan")
    print(f"{len(translations)} sentences, median {latency:.1f} ms a sentence; wrote {arguments.out}")


if __name__ == "__main__":
    main()
