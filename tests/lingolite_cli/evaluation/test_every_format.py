"""Every format that is exported is held against its bundle: unharmed files pass with ten seeds, faults break a limit.

Where an engine shows the values of operations, the operation that is wrong is named. In the starter's own files, a line
a case, in all some forty minutes:

    pytest tests/lingolite_cli/evaluation/test_every_format.py -m slow -s

What every run of the tests has is a small model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Progress
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.exported_measurement import (
    ExportedText,
    compare_end_to_end,
    compare_scores,
    compare_values,
)
from lingolite_cli.evaluation.tokenizer_comparison import compare_tokenizers
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_cli.evaluation import planted_bundles, planted_graphs
from tests.lingolite_cli.evaluation.planted_faults import plant

STARTER = Path(__file__).parents[3] / "recipes" / "starter-en-da"
LANGUAGES = ("en", "da")

BUNDLES = {"float": None, "int8": "dynamic-int8", "static": "static-int8", "int4": "int4", "mixed": "mixed"}
ROUTES = [
    *((bundle, "onnx", profile) for profile in ("portable", "optimized") for bundle in BUNDLES),
    *((bundle, "ctranslate2", "") for bundle in ("float", "int8")),
]
"""Bundle, exporter and profile of every file."""


class Judged(NamedTuple):
    """A file held against its bundle, and by what."""

    found: ExportedComparison
    arithmetic: Arithmetic

    @property
    def broken(self) -> list[str]:
        """The limits that are broken."""
        found, limits = self.found, self.arithmetic
        figures = {
            "data": found.tokenizer is not None,
            "rounding": found.rounding is not None and not found.rounding <= 1,
            "kl": found.logits is not None and not found.logits.kl_mean <= limits.kl_max,
            "scores": found.score_difference is not None
            and not (limits.scores is None or found.score_difference <= limits.scores.difference_max),
            "parity": found.agreement is not None and not found.agreement >= limits.parity_min,
        }
        return [name for name, is_broken in figures.items() if is_broken]


def judge(bundle: Artifact, file: Artifact, *, seed: int, num_sentences: int = 24) -> Judged:
    """Hold a file against its bundle on a sample of the starter's test set, in this process."""
    name = {"coreml": "coreml-reference"}.get(file.manifest.format, file.manifest.format)
    loaded = load_registry().resolve("backend", name)
    options = loaded.options({})
    factory: object = loaded.load_factory()
    arithmetic: Arithmetic = factory.arithmetic(file, bundle, options)  # type: ignore[attr-defined]
    lines = (STARTER / "test.en-da.tsv").read_text(encoding="utf-8").splitlines()
    chosen = np.random.default_rng(seed).permutation(len(lines))[:num_sentences]
    texts = [lines[index].split("\t")[0] for index in chosen]
    tokenizer, model = open_tokenizer(bundle), bundle.manifest.model
    backend = loaded.create(file, options={}, threads=1)
    translator = Translator(
        backend,
        open_tokenizer(file),
        file.manifest.model,
        LANGUAGES,
        options=DecodingOptions(max_length=96),
        capabilities=loaded.spec.capabilities,
    )
    text = ExportedText(
        sources=[tokenizer.encode_source(one, LANGUAGES, max_length=model.max_seq_len).ids for one in texts],
        tokens=[found.tokens for found in translator.translate(texts)],
        positions=min(model.max_seq_len, file.manifest.model.max_seq_len),
        ids=tokenizer.decoding_ids(LANGUAGES),
    )
    weights = Weights.read(bundle)
    found = compare_end_to_end(
        backend if loaded.spec.gives_logits else None, text, weights, arithmetic, progress=Progress()
    )
    if "trace" in loaded.spec.capabilities:
        values = compare_values(
            lambda tokens: backend.trace(tokens, bundle=bundle), text, weights, arithmetic, progress=Progress()
        )
        found = msgspec.structs.replace(
            found, rounding=values.rounding, num_operations=values.num_operations, operations=values.operations
        )
    backend.close()
    if arithmetic.scores is not None:
        scoring = loaded.create(file, options=arithmetic.scores.options, threads=1)
        scores = compare_scores(scoring.score, text, weights, arithmetic.scores, progress=Progress())
        scoring.close()
        found = msgspec.structs.replace(found, score_difference=scores.score_difference)
    return Judged(msgspec.structs.replace(found, tokenizer=compare_tokenizers(bundle, file, texts)), arithmetic)


def described(judged: Judged) -> str:
    found = judged.found
    rounding = "" if found.rounding is None else f"{found.rounding:.3g}"
    divergence = "" if found.logits is None else f"{found.logits.kl_mean:.2g}"
    scores = "" if found.score_difference is None else f"{found.score_difference:.2g}"
    return f"{rounding} | {divergence} | {scores} | {found.agreement:.4f}"


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """The starter as a bundle of each precision; each is made once."""
    root = tmp_path_factory.mktemp("bundles")
    made: dict[str, Artifact] = {"float": Artifact.open(STARTER / "model")}

    def make(name: str) -> Artifact:
        if name not in made:
            made[name] = convert_with(converter(BUNDLES[name] or ""), made["float"], root / name)
        return made[name]

    return make


@pytest.fixture(scope="module")
def files(starter: Callable[[str], Artifact], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Every file; each is made once."""
    root = tmp_path_factory.mktemp("files")
    made: dict[tuple[str, str, str], Artifact] = {}

    def make(bundle: str, exporter: str, profile: str) -> Artifact:
        key = bundle, exporter, profile
        if key not in made:
            options = {"profile": profile, "test": False} if profile else {}
            made[key] = convert_with(converter(exporter), starter(bundle), root / "-".join(key), options=options)
        return made[key]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: "-".join(filter(None, route)))
def test_unharmed_files_of_every_format_pass_with_ten_seeds(
    route: tuple[str, str, str], starter: Callable[[str], Artifact], files: Callable[..., Artifact]
) -> None:
    for seed in range(10):
        judged = judge(starter(route[0]), files(*route), seed=seed)
        print(f"| {' '.join(route)} | {seed} | {described(judged)} |", flush=True)
        assert judged.broken == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", planted_graphs.FAULTS)
@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route[1] == "onnx"], ids=lambda route: f"{route[0]}-{route[2]}"
)
def test_a_fault_in_an_onnx_file_of_any_kind_is_located(
    route: tuple[str, str, str],
    fault: str,
    starter: Callable[[str], Artifact],
    files: Callable[..., Artifact],
    tmp_path: Path,
) -> None:
    harm, located = planted_graphs.FAULTS[fault]
    judged = judge(starter(route[0]), plant(files(*route), tmp_path / "faulty", harm), seed=0)
    print(f"| {route[0]} {route[2]} | {fault} | {', '.join(judged.broken)} | {judged.found.located} |", flush=True)
    assert judged.broken
    assert located in (judged.found.located or "").partition(" ")[0]


@pytest.mark.slow
@pytest.mark.parametrize("fault", planted_bundles.FAULTS)
@pytest.mark.parametrize("bundle", ["float", "int8"])
def test_a_fault_in_a_ctranslate2_model_breaks_a_limit_and_is_not_called_located(
    bundle: str, fault: str, starter: Callable[[str], Artifact], tmp_path: Path
) -> None:
    harmed = plant(starter(bundle), tmp_path / "bundle", planted_bundles.FAULTS[fault])
    judged = judge(starter(bundle), convert_with(converter("ctranslate2"), harmed, tmp_path / "file"), seed=0)
    print(f"| {bundle} ctranslate2 | {fault} | {', '.join(judged.broken)} | {described(judged)} |", flush=True)
    assert judged.broken
    if judged.found.tokenizer is None:
        assert judged.found.located is None


@pytest.mark.slow
@pytest.mark.parametrize("fault", planted_bundles.FAULTS)
@pytest.mark.parametrize("bundle", ["float", "int8"])
@pytest.mark.parametrize(("format", "package"), [("litert", "ai_edge_litert"), ("coreml", "coremltools")])
def test_a_fault_in_a_litert_or_core_ml_file_is_located(
    format: str, package: str, bundle: str, fault: str, starter: Callable[[str], Artifact], tmp_path: Path
) -> None:
    pytest.importorskip(package)
    harmed = plant(starter(bundle), tmp_path / "bundle", planted_bundles.FAULTS[fault])
    options: dict[str, Any] = {}
    if format == "coreml":
        # float16 may differ by 0.02, and the smallest of these faults makes 0.018: it is seen in float32 alone.
        options = {"test": False, "compute": "float32" if fault == "one weight in fifty" else "float16"}
    file = convert_with(converter(format), harmed, tmp_path / "file", options=options)
    judged = judge(starter(bundle), file, seed=0, num_sentences=8)
    print(f"| {bundle} {format} | {fault} | {', '.join(judged.broken)} | {judged.found.located} |", flush=True)
    assert judged.broken
    assert planted_bundles.LOCATED[fault] in (judged.found.located or "").partition(" ")[0]
