"""Faults planted in the starter's own files are all caught, each under its name; the unharmed files pass.

The whole matrix, a line a case, and some of it by the real command:

    pytest tests/lingolite_cli/evaluation/test_planted_faults.py -m slow -s

What every run of the tests has is one file.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from command_line import command

from lingolite_cli.artifact import Artifact
from lingolite_cli.budgets import judging
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.evaluation.causes import expected_noise, name_causes
from lingolite_cli.evaluation.parity import Parity
from lingolite_cli.evaluation.parity_measurement import ParitySettings, ParityText, measure_parity
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer
from tests.lingolite_cli.evaluation import planted_faults as faults

pytestmark = pytest.mark.expensive_fixture

ROOT = Path(__file__).parents[3]
STARTER = ROOT / "recipes" / "starter-en-da"
LANGUAGES = ("en", "da")
NUM_ENTRIES = 400
"""Vocabulary entries of the short probe."""
ROW = int(np.linspace(0, 7999, NUM_ENTRIES)[60])
"""The embedding row that is zeroed; the short probe reads it too."""

INT8_BUDGETS = {
    "parity_min": 0.95,
    "logit_difference_max": 3.0,
    "kl_mean_max": 0.005,
    "token_kl_max": 0.05,
    "padding_difference_max": 0.5,
    "select_difference_max": 0.5,
}
FLOAT_BUDGETS = {
    "parity_min": 0.999,
    "logit_difference_max": 1e-3,
    "kl_mean_max": 1e-5,
    "token_kl_max": 1e-5,
    "padding_difference_max": 1e-3,
    "select_difference_max": 1e-3,
}


class Case(NamedTuple):
    """A fault: where it is planted, if in the file, the backend that has it, if not, and the name that it must get."""

    name: str
    fault: Callable[[Path], None] | None
    cause: str
    backend: str | None = None


IN_FILES = [
    Case("query one position off", faults.turn_queries, "target-positions"),
    Case("scale of a layer doubled", faults.double_scale, "weights"),
    Case("embedding row zeroed", faults.zero_row(ROW), "embedding-row"),
    Case("token table shifted", faults.shift_rows, "token-table"),
    Case("truncated at 32 tokens", faults.limit_positions, "truncation"),
]
ONNX_CASES = [
    Case("cross-attention mask dropped", faults.drop_cross_attention_mask, "source-mask"),
    *IN_FILES,
    Case("cache of 32 tokens", faults.limit_cache, "target-buffer"),
    Case("cache stale after a reorder", None, "stale-cache", "stale-onnx"),
]
FLOAT_CASES = [
    *ONNX_CASES,
    Case("encoder mask dropped", faults.drop_encoder_mask, "source-mask"),
    Case("first source position repeated", faults.repeat_first_source_position, "source-positions"),
    Case("cached values halved", faults.halve_cached_values, "cache"),
    Case("last norm scaled", faults.scale_output, "output-scale"),
]
BUNDLE_CASES = [
    Case("cross-attention mask dropped", None, "source-mask", "unmasked-int8"),
    *IN_FILES,
    Case("cache stale after a reorder", None, "stale-cache", "stale-int8"),
]


class Kind(NamedTuple):
    """A kind of shipped file: how it is made, what runs it, and what it must keep to."""

    route: tuple[str, ...]
    backend: str
    budgets: dict[str, float]
    cases: list[Case]


KINDS = {
    "float ONNX": Kind(("onnx",), "onnx", FLOAT_BUDGETS, FLOAT_CASES),
    "int8 ONNX": Kind(("dynamic-int8", "onnx"), "onnx", INT8_BUDGETS, ONNX_CASES),
    "int8 bundle": Kind(("dynamic-int8",), "int8", INT8_BUDGETS, BUNDLE_CASES),
}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """The starter as a kind of shipped file; each is made once."""
    root = tmp_path_factory.mktemp("shipped")

    def make(kind: str) -> Artifact:
        artifact = Artifact.open(STARTER / "model")
        for step in KINDS[kind].route:
            path = root / f"{artifact.path.name}-{step}"
            options = {"test": False} if step == "onnx" else {}
            artifact = (
                Artifact.open(path) if path.exists() else convert_with(converter(step), artifact, path, options=options)
            )
        return artifact

    return make


def sentences(count: int) -> list[tuple[str, str]]:
    """Sentences of the starter's test set with their references, of all lengths, the longest among them."""
    lines = (STARTER / "test.en-da.tsv").read_text(encoding="utf-8").splitlines()
    pairs = sorted((tuple(line.split("\t")[:2]) for line in lines), key=lambda pair: len(pair[0]))
    return [pairs[place] for place in np.linspace(0, len(pairs) - 1, count).round().astype(int)]


class Judge:
    """Measures a candidate against the starter in this process."""

    def __init__(self, num_sentences: int) -> None:
        self.model = Artifact.open(STARTER / "model")
        self.tokenizer = open_tokenizer(self.model)
        self.texts = [source for source, _ in sentences(num_sentences)]
        self.reference = load_registry().resolve("backend", "cached").create(self.model, threads=1)
        self.expected = self.translate(self.reference, self.model)

    def translate(self, backend: Any, artifact: Artifact) -> list[tuple[int, ...]]:
        options = DecodingOptions(max_length=96)
        translator = Translator(backend, self.tokenizer, artifact.manifest.model, LANGUAGES, options=options)
        return [translation.tokens for translation in translator.translate(self.texts)]

    def sources(self, positions: int) -> list[list[int]]:
        return [self.tokenizer.encode_source(text, LANGUAGES, max_length=positions).ids for text in self.texts]

    def measure(self, artifact: Artifact, backend: str, *, seed: int = 0) -> Parity:
        candidate = load_registry().resolve("backend", backend).create(artifact, threads=1)
        positions = artifact.manifest.model.max_seq_len
        text = ParityText(
            reference_sources=self.sources(self.model.manifest.model.max_seq_len),
            candidate_sources=self.sources(positions),
            reference_tokens=self.expected,
            candidate_tokens=self.translate(candidate, artifact),
            candidate_positions=positions,
            ids=IDS,
            pieces=self.tokenizer.target_pieces,
        )
        settings = ParitySettings(sample=len(self.texts) * 3 // 4, seed=seed, vocabulary=NUM_ENTRIES)
        parity = measure_parity(candidate, text, reference=self.reference, settings=settings)
        causes = name_causes(parity, noise=expected_noise(artifact.manifest.quantization))
        return msgspec.structs.replace(parity, causes=causes)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(16)


@pytest.fixture(scope="module")
def wide_judge() -> Judge:
    return Judge(40)


def broken(parity: Parity, budgets: dict[str, float]) -> set[str]:
    """The budgets that fail the run."""
    verdicts = judging.judge_all(budgets, BUDGETS, MeasuredFigures(parity=parity), allow_inconclusive=False)
    return {verdict.budget for verdict in verdicts if verdict.breaks_run}


@pytest.fixture
def planted(install_plugin: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distribution `lingolite-planted`, installed for this process and those that it starts."""
    path = install_plugin("planted")
    monkeypatch.syspath_prepend(str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    return path


def harmed(artifact: Artifact, case: Case, root: Path) -> Artifact:
    """A copy with the fault, unless the fault is the backend's."""
    return artifact if case.fault is None else faults.plant(artifact, root / "harmed", case.fault)


@pytest.mark.parametrize("case", ONNX_CASES, ids=lambda case: case.name)
def test_a_fault_in_the_int8_file_breaks_budgets_under_its_name(
    case: Case, shipped: Callable, judge: Judge, planted: Path, tmp_path: Path
) -> None:
    parity = judge.measure(harmed(shipped("int8 ONNX"), case, tmp_path), case.backend or "onnx")
    assert [cause.name for cause in parity.causes] == [case.cause]
    failed = broken(parity, INT8_BUDGETS)
    assert failed
    name = min(failed)
    verdict = judging.judge(BUDGETS[name], MeasuredFigures(parity=parity), limit=INT8_BUDGETS[name])
    assert verdict.why.endswith(f"the pattern suggests: {case.cause}")


@pytest.mark.parametrize("seed", range(3))
def test_the_unharmed_int8_file_breaks_no_budget_whatever_is_sampled(
    shipped: Callable, judge: Judge, seed: int
) -> None:
    parity = judge.measure(shipped("int8 ONNX"), "onnx", seed=seed)
    assert parity.causes == []
    assert broken(parity, INT8_BUDGETS) == set()


def run_verify(
    root: Path, candidate: Path, *, backend: str, budgets: dict[str, float], num_sentences: int, seed: int = 17
) -> tuple[int, VerifyResult, str]:
    """A recipe that verifies `candidate` against the starter, by the real command: exit code, figures, stdout."""
    (root / "lingolite.toml").write_text("schema = 1\n", encoding="utf-8")
    text = "".join(f"{source}\t{target}\n" for source, target in sentences(num_sentences))
    (root / "test.tsv").write_text(text, encoding="utf-8")
    evaluated = 'uses = "evaluate"\nmetrics = ["bleu"]\n'
    (root / "recipe.toml").write_text(
        f'schema = 1\nname = "planted"\nseed = {seed}\n[inputs]\nmodel = {{ bundle = "{STARTER / "model"}" }}\n'
        f'candidate = {{ bundle = "{candidate}" }}\ntest = {{ tsv = "test.tsv", languages = ["en", "da"] }}\n'
        f'[[steps]]\nid = "baseline"\n{evaluated}'
        f'[[steps]]\nid = "shipped"\nmodel = "inputs.candidate"\nbackend = "{backend}"\n{evaluated}'
        f'[[steps]]\nid = "verify"\nuses = "verify"\nreference = "baseline"\ncandidate = "shipped"\n'
        f"parity_samples = {num_sentences * 3 // 4}\n"
        f"[steps.budget]\n" + "".join(f"{name} = {limit}\n" for name, limit in budgets.items()),
        encoding="utf-8",
    )
    done = subprocess.run(
        command("run", "recipe.toml"),
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=600,
        check=False,
    )
    (run,) = (root / "runs" / "planted").iterdir() if done.returncode in (0, 3) else [None]
    assert run is not None, done.stderr.decode()
    manifest = msgspec.json.decode((run / "manifest.json").read_bytes(), type=RunManifest)
    result = manifest.steps[-1].result
    assert isinstance(result, VerifyResult)
    return done.returncode, result, done.stdout.decode() + done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "case"),
    [(kind, case) for kind in KINDS for case in KINDS[kind].cases],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_fault_in_every_file_breaks_budgets_under_its_name(
    kind: str, case: Case, shipped: Callable, wide_judge: Judge, planted: Path, tmp_path: Path
) -> None:
    _, backend, budgets, _ = KINDS[kind]
    artifact = harmed(shipped(kind), case, tmp_path)
    parities = [wide_judge.measure(artifact, case.backend or backend, seed=seed) for seed in range(2)]
    for parity in parities:
        causes = [cause.name for cause in parity.causes]
        failed = [name for name in budgets if name in broken(parity, budgets)]
        print(f"\n| {kind} | {case.name} | {', '.join(causes)} | {', '.join(failed)} |")
        assert causes == [case.cause]
        assert failed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", KINDS)
def test_the_unharmed_file_breaks_no_budget_with_any_seed(
    kind: str, seed: int, shipped: Callable, wide_judge: Judge
) -> None:
    _, backend, budgets, _ = KINDS[kind]
    parity = wide_judge.measure(shipped(kind), backend, seed=seed)
    print(f"\n| {kind} | unharmed, seed {seed} | | |")
    assert (parity.causes, broken(parity, budgets)) == ([], set())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("float ONNX", "cache stale after a reorder"),
        ("int8 ONNX", "cross-attention mask dropped"),
        ("int8 bundle", "embedding row zeroed"),
    ],
)
def test_the_command_exits_with_3_and_names_the_cause(
    kind: str, name: str, shipped: Callable, planted: Path, tmp_path: Path
) -> None:
    _, backend, budgets, cases = KINDS[kind]
    (case,) = (case for case in cases if case.name == name)
    artifact = harmed(shipped(kind), case, tmp_path)
    code, result, shown = run_verify(
        tmp_path, artifact.path, backend=case.backend or backend, budgets=budgets, num_sentences=24
    )
    assert result.parity is not None
    assert (code, [cause.name for cause in result.parity.causes]) == (3, [case.cause])
    assert f"not located; the pattern suggests: {case.cause}" in " ".join(shown.split())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_command_passes_the_unharmed_file(kind: str, shipped: Callable, tmp_path: Path) -> None:
    _, backend, budgets, _ = KINDS[kind]
    code, result, _ = run_verify(tmp_path, shipped(kind).path, backend=backend, budgets=budgets, num_sentences=24)
    assert result.parity is not None
    assert (code, result.parity.causes) == (0, [])
