"""Every engine on the same models, side by side in one interleaved run, as a table in Markdown.

    python tests/benchmarks/engines.py --out engines.md

On the starter the sentences are translated as they are; translations of models with random weights, which never end,
are cut to the same length. Ratios are to the first system, CTranslate2 in int8.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from models import LANGUAGES, MODELS, STARTER, make_bundle
from table import render

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import Registry, load_registry
from lingolite_cli.runs.record import RunManifest

RANDOM_TOKENS = 32
"""Target tokens of each sentence on a model with random weights."""


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the comparison: a backend, and how its artifact is made from the bundle.

    Attributes:
        name: what the table calls it.
        backend: its backend.
        method: the quantizer before any export, or None.
        format: the exporter, or None.
        export: options of the exporter.
        options: options of the backend.
        threads: of each worker; None for what is asked for all engines.
        workers: processes that share the sentences; None for what is asked for all engines.
        note: what there is to know about it.
    """

    name: str
    backend: str
    method: str | None = None
    format: str | None = None
    export: dict[str, Any] = {}
    options: dict[str, Any] = {}
    threads: int | None = None
    workers: int | None = None
    note: str = ""

    @property
    def system(self) -> dict[str, Any]:
        """As a system of a benchmark, without its artifact."""
        own = {"threads": self.threads, "workers": self.workers}
        system = {"name": self.name, "backend": self.backend, "options": self.options}
        return {**system, **{key: value for key, value in own.items() if value is not None}}


ENGINES = (
    Engine(name="CTranslate2 int8", backend="ctranslate2", method="dynamic-int8", format="ctranslate2"),
    Engine(name="CTranslate2 float32", backend="ctranslate2", format="ctranslate2"),
    Engine(
        name="ONNX ORT int8",
        backend="onnx",
        method="dynamic-int8",
        format="onnx",
        export={"profile": "optimized"},
    ),
    Engine(name="ONNX ORT int4", backend="onnx", method="int4", format="onnx", export={"profile": "optimized"}),
    Engine(name="ONNX ORT float32", backend="onnx", format="onnx", export={"profile": "optimized"}),
    Engine(name="ONNX portable int8", backend="onnx", method="dynamic-int8", format="onnx"),
    Engine(
        name="ONNX portable float32",
        backend="onnx",
        format="onnx",
        note="stands for plain ONNX decoding as other exporters do it: standard operators, a cache that is "
        "concatenated and handed back at each step, logits returned",
    ),
    Engine(name="LiteRT int8", backend="litert", method="dynamic-int8", format="litert"),
    Engine(name="LiteRT float32", backend="litert", format="litert"),
    Engine(name="torch cached int8", backend="int8", method="dynamic-int8"),
    Engine(name="torch cached float32", backend="cached"),
    Engine(name="torch eager float32", backend="eager", note="no cache: reads the whole prefix at each step"),
)

_BY_NAME = {engine.name: engine for engine in ENGINES}
_CTRANSLATE2, _ORT = _BY_NAME["CTranslate2 int8"], _BY_NAME["ONNX ORT int8"]
TWO_CORES = (
    msgspec.structs.replace(_CTRANSLATE2, name="CTranslate2 int8, 2 threads", threads=2),
    msgspec.structs.replace(
        _CTRANSLATE2, name="CTranslate2 int8, 2 parts of a batch", threads=2, options={"inter_threads": 2}
    ),
    msgspec.structs.replace(_CTRANSLATE2, name="CTranslate2 int8, 2 workers", workers=2),
    msgspec.structs.replace(_ORT, name="ONNX ORT int8, 2 threads", threads=2),
    msgspec.structs.replace(_ORT, name="ONNX ORT int8, 2 workers", workers=2),
)
"""What two cores give: threads inside an operator, parts of a batch, or processes. Batches must be several times as
many as workers, so ask for some hundred sentences."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the table."""
    asked = _parser().parse_args(arguments)
    registry = load_registry()
    chosen = TWO_CORES if asked.two_cores else ENGINES
    if asked.engine:
        chosen = tuple(engine for engine in (*ENGINES, *TWO_CORES) if engine.name in asked.engine)
    engines, left_out = _usable(registry, chosen)
    with tempfile.TemporaryDirectory(prefix="lingolite-engines-") as scratch:
        work = Path(asked.work or scratch).resolve()
        work.mkdir(parents=True, exist_ok=True)
        (work / "lingolite.toml").write_text("schema = 1\n", encoding="utf-8")
        runs = {name: _measure(name, engines, asked, work) for name in asked.model or ("starter", "tiny", "small")}
    notes = [*(f"{engine.name}: {engine.note}." for engine in engines if engine.note), *left_out]
    text = render(runs, notes=notes)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", choices=MODELS, help="repeatable; default: starter, tiny and small")
    names = [engine.name for engine in (*ENGINES, *TWO_CORES)]
    parser.add_argument("--two-cores", action="store_true", help="the fastest engines with two threads or two workers")
    parser.add_argument("--engine", action="append", choices=names, help="repeatable; default: all that are installed")
    parser.add_argument("--batch-sizes", type=_numbers, default=[1, 32], help="separated by commas")
    parser.add_argument("--lengths", type=_numbers, default=[100], help="further target lengths to force")
    parser.add_argument("--num-sentences", type=int, default=32)
    parser.add_argument("--beam-size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold-starts", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="keep bundles, exports and runs here, to use them again")
    parser.add_argument("--out", type=Path, help="write the table here, too")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _usable(registry: Registry, chosen: Sequence[Engine]) -> tuple[list[Engine], list[str]]:
    """Those of the chosen engines that this installation has, and a line for each that it lacks."""
    engines, left_out = [], []
    for engine in chosen:
        why = _lacking(registry, engine)
        if why is None:
            engines.append(engine)
        else:
            left_out.append(f"{engine.name} was left out: {why}.")
    if not engines:
        raise SystemExit("\n".join(left_out))
    return engines, left_out


def _lacking(registry: Registry, engine: Engine) -> str | None:
    try:
        registry.resolve("backend", engine.backend)
        if engine.format:
            registry.resolve("exporter", engine.format).options(engine.export)
    except LingoLiteError as error:
        return error.message
    return None


def _measure(name: str, engines: Sequence[Engine], asked: argparse.Namespace, work: Path) -> RunManifest:
    """One recipe: the conversions and the benchmark."""
    recipe = work / f"{name}.toml"
    recipe.write_text(_toml(_recipe(name, engines, asked, work)), encoding="utf-8")
    command = [sys.executable, "-m", "lingolite_cli", "run", str(recipe), "--json"]
    done = subprocess.run(command, cwd=work, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=RunManifest)


def _recipe(name: str, engines: Sequence[Engine], asked: argparse.Namespace, work: Path) -> dict[str, Any]:
    steps: dict[str, dict[str, Any]] = {}
    systems = [{**engine.system, "model": _lead(engine, steps)} for engine in engines]
    is_random = name != "starter"
    benchmark = {
        "id": "speed",
        "uses": "benchmark",
        "systems": systems,
        "num_sentences": asked.num_sentences,
        "batch_sizes": asked.batch_sizes,
        "lengths": asked.lengths if asked.beam_size == 1 else [],
        "decoding": {"beam_size": asked.beam_size, **({"max_length": RANDOM_TOKENS} if is_random else {})},
        "rounds": asked.rounds,
        "cold_starts": asked.cold_starts,
        "threads": asked.threads,
    }
    test = {"tsv": str(STARTER / "test.en-da.tsv"), "languages": list(LANGUAGES)}
    return {
        "schema": 1,
        "name": name,
        "inputs": {"model": {"bundle": str(make_bundle(name, work / f"{name}-bundle"))}, "test": test},
        "steps": [*steps.values(), benchmark],
    }


def _lead(engine: Engine, steps: dict[str, dict[str, Any]]) -> str:
    """The artifact that the engine reads; the steps that make it are added, each once."""
    reference = "inputs.model"
    if engine.method:
        steps.setdefault(engine.method, {"id": engine.method, "uses": "quantize", "method": engine.method})
        reference = engine.method
    if engine.format:
        id = "-".join([engine.method or "float", engine.format, *engine.export.values()])
        export = {"id": id, "uses": "export", "format": engine.format, "model": reference, "options": engine.export}
        steps.setdefault(id, export)
        reference = id
    return reference


def _toml(recipe: dict[str, Any]) -> str:
    """As TOML: JSON's strings, numbers and lists are TOML's, and its objects become inline tables."""
    return "\n".join(f"{key} = {_value(value)}" for key, value in recipe.items()) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
