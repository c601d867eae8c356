"""What LiteRT files cost and give on the starter: size, speed, start, memory, and whose tokens they give.

    pip install -e ".[litert,torch]"
    python tests/benchmarks/litert.py --out litert.md

Each system is measured in fresh processes that take turns. Time is that of the CPU, so that other work on the machine
changes it little; ratios are to ONNX ORT int8 of the same round. Tokens are compared with those of the float network
(`cached`) and of the exact int8 arithmetic (`int8`). A second table has what it takes to open each file and to give a
first token in the runtime alone, by `litert_alone.py`, and beside it the time of a fixed piece of work in the same
processes: where that varies, the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from models import LANGUAGES, STARTER

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.tokenization.opening import open_tokenizer

TEST = STARTER / "test.en-da.tsv"
ALONE = Path(__file__).with_name("litert_alone.py")
SENTENCE = "The boat sails at noon, and the house by the harbour is red."
MAX_LENGTH = 128


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: a file, what runs it, and whose tokens it should give."""

    name: str
    backend: str
    path: str
    reference: str
    options: dict[str, str] = {}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one process saw: CPU time, and the tokens of each sentence."""

    ms_per_token: float
    tokens: list[tuple[int, ...]]


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime alone needs; see `litert_alone.py`."""

    start_ms: float
    fixed_ms: float
    peak_mb: float


def read(system: System, *, num_sentences: int, batch_size: int) -> Reading:
    """Measure in this process."""
    loaded, artifact = load_registry().resolve("backend", system.backend), Artifact.open(Path(system.path))
    loaded.load_factory()
    tokenizer = open_tokenizer(artifact)
    lines = [row.split("\t")[0] for row in TEST.read_text(encoding="utf-8").splitlines()[:num_sentences]]
    backend = loaded.create(artifact, options=system.options, threads=1)
    translator = Translator(
        backend,
        tokenizer,
        artifact.manifest.model,
        LANGUAGES,
        options=DecodingOptions(max_length=MAX_LENGTH),
        batch_size=batch_size,
        capabilities=loaded.spec.capabilities,
    )
    next(translator.translate_in_steps(lines[0]))
    begin = time.process_time()
    found = [translation.tokens for translation in translator.translate(lines)]
    seconds = time.process_time() - begin
    backend.close()
    return Reading(ms_per_token=1000 * seconds / sum(map(len, found)), tokens=found)


def in_a_process(system: System, *, num_sentences: int, batch_size: int) -> Reading:
    """Measure in a fresh one."""
    command = [sys.executable, __file__, "--num-sentences", str(num_sentences), "--batch-size", str(batch_size)]
    done = subprocess.run(command, input=msgspec.json.encode(system), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Reading)


def alone(system: System, *arguments: str) -> Alone:
    """The file in a process that has the runtime and numpy only."""
    ids = open_tokenizer(Artifact.open(Path(system.path))).encode_source(SENTENCE, LANGUAGES, max_length=MAX_LENGTH).ids
    command = [sys.executable, str(ALONE), f"{system.path}/model.tflite", *map(str, ids), *arguments]
    done = subprocess.run(command, capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Alone)


def starts(found: Sequence[System], work: Path, *, num_starts: int) -> str:
    """A table of what it takes to open each file, in processes that take turns."""
    ways: list[tuple[str, System, list[str]]] = [(one.name, one, []) for one in found if one.backend == "litert"]
    cached = ["--weight-cache", str(work / "weights.xnnpack")]
    name, first, _ = ways[0]
    alone(first, *cached)  # makes the file
    ways.insert(1, (f"{name}, weight cache", first, cached))
    rounds = [[alone(system, *arguments) for _, system, arguments in ways] for _ in range(num_starts)]
    lines = ["| file | start, CPU ms | fixed work, CPU ms | peak MB |", "| --- | --: | --: | --: |"]
    for place, (name, _, _) in enumerate(ways):
        own = [row[place] for row in rounds]
        times = (spread([one.start_ms for one in own]), spread([one.fixed_ms for one in own]))
        lines.append(f"| {name} | {' | '.join(times)} | {max(one.peak_mb for one in own):.0f} |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Median, least and largest."""
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def systems(work: Path) -> list[System]:
    """The starter in all forms; ONNX ORT int8, which ratios are to, comes first."""

    def made(name: str, command: str, model: Path, *arguments: str) -> Path:
        if not (work / name).exists():
            run = [sys.executable, "-m", "lingolite_cli", "-q", command, "--model", str(model), *arguments]
            subprocess.run([*run, "--out", str(work / name)], check=True, stdout=subprocess.DEVNULL)
        return work / name

    def litert(name: str, model: Path, *arguments: str) -> str:
        return str(made(name, "export", model, "--format", "litert", *arguments))

    model = STARTER / "model"
    int8 = made("int8", "quantize", model, "--method", "dynamic-int8")
    fp16 = made("fp16", "quantize", model, "--method", "fp16")
    ort = made("ort", "export", int8, "--format", "onnx", "--option", "profile=optimized")
    symmetric = litert("symmetric", int8)
    plain = litert("plain", int8, "--option", "activations=runtime")
    return [
        System(name="ONNX ORT int8", backend="onnx", path=str(ort), reference="int8"),
        System(name="LiteRT int8, symmetric", backend="litert", path=symmetric, reference="int8"),
        System(name="LiteRT int8, the runtime's own rounding", backend="litert", path=plain, reference="int8"),
        System(name="LiteRT float32", backend="litert", path=litert("float", model), reference="cached"),
        System(name="LiteRT float16", backend="litert", path=litert("half", fp16), reference="cached"),
    ]


def render(rows: Sequence[tuple[System, list[Reading]]], references: dict[str, Reading]) -> str:
    """A table in Markdown."""
    lines = [
        "| file | tokens of the reference | CPU time a token | MB |",
        "| --- | --: | --: | --: |",
    ]
    first = rows[0][1]
    for system, readings in rows:
        wanted = references[system.reference].tokens
        same = sum(found == expected for found, expected in zip(readings[0].tokens, wanted, strict=True))
        ratios = [one.ms_per_token / base.ms_per_token for one, base in zip(readings, first, strict=True)]
        least_and_largest = f"{min(ratios):.2f}–{max(ratios):.2f}"
        files = Artifact.open(Path(system.path)).manifest.files
        size = sum(entry.size_bytes for name, entry in files.items() if not name.startswith("tokenizer"))
        lines.append(
            f"| {system.name} | {same} of {len(wanted)} as `{system.reference}` | {statistics.median(ratios):.2f}× "
            f"({least_and_largest}) | {size / 1e6:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, and write the table; or measure one system in this process, which standard input names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-sentences", type=int, default=999)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=20, help="processes that open each file; default: %(default)s")
    parser.add_argument("--work", type=Path, help="keep bundles and exports here, to use them again")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.batch_size is not None:
        system = msgspec.json.decode(sys.stdin.buffer.read(), type=System)
        found = read(system, num_sentences=given.num_sentences, batch_size=given.batch_size)
        sys.stdout.buffer.write(msgspec.json.encode(found))
        return
    with tempfile.TemporaryDirectory(prefix="lingolite-litert-") as scratch:
        work = (given.work or Path(scratch)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        (work / "lingolite.toml").write_text("schema = 1\n", encoding="utf-8")
        measured = systems(work)
        sizes = {"num_sentences": given.num_sentences}
        references = {
            "cached": System(name="float", backend="cached", path=str(STARTER / "model"), reference=""),
            "int8": System(name="int8", backend="int8", path=str(work / "int8"), reference=""),
        }
        expected = {name: in_a_process(one, batch_size=32, **sizes) for name, one in references.items()}
        rounds = [[in_a_process(one, batch_size=1, **sizes) for one in measured] for _ in range(given.rounds)]
        text = render([(one, [row[place] for row in rounds]) for place, one in enumerate(measured)], expected)
        text += "\n" + starts(measured, work, num_starts=given.starts)
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
