"""A file that is not what was exported breaks a budget, and the operation that differs is named; unharmed files pass.

In the starter's own files, by the real command, a line a case:

    pytest tests/lingolite_cli/evaluation/test_located_faults.py -m slow -s

What every run of the tests has is a small model, and the comparison itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from command_line import run_command

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Progress
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.exported_measurement import ExportedText, compare_end_to_end, compare_values
from lingolite_cli.evaluation.tokenizer_comparison import compare_tokenizers
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_cli.evaluation import planted_operations as faults
from tests.lingolite_cli.evaluation.planted_faults import plant

pytestmark = pytest.mark.expensive_fixture

ROOT = Path(__file__).parents[3]
STARTER = ROOT / "recipes" / "starter-en-da"
VOCAB_SIZE = 8000


def exported(bundle: Artifact, artifact: Artifact, *, seed: int = 0, **options: str) -> ExportedComparison:
    """The comparison of a file with its bundle, in this process, on random sentences."""
    loaded = load_registry().resolve("backend", "onnx")
    backend = loaded.create(artifact, options=options, threads=1)
    weights = Weights.read(bundle)
    factory: object = loaded.load_factory()
    arithmetic = factory.arithmetic(artifact, bundle, loaded.options(options))  # type: ignore[attr-defined]
    config = bundle.manifest.model
    generator = np.random.default_rng(seed)
    lengths = [3, 7, min(20, config.max_seq_len)]
    draw = [generator.integers(12, config.vocab_size, length).tolist() for length in lengths]
    text = ExportedText(sources=draw, tokens=[row[::-1] for row in draw], positions=config.max_seq_len, ids=IDS)
    ends = compare_end_to_end(backend, text, weights, arithmetic, progress=Progress())
    values = compare_values(
        lambda tokens: backend.trace(tokens, bundle=bundle), text, weights, arithmetic, progress=Progress()
    )
    backend.close()
    return msgspec.structs.replace(
        ends,
        rounding=values.rounding,
        num_operations=values.num_operations,
        operations=values.operations,
        limits={"kl": arithmetic.kl_max, "parity": arithmetic.parity_min},
    )


@pytest.fixture(scope="module")
def int8(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small model's int8 bundle."""
    return convert_with(converter("dynamic-int8"), tiny, tmp_path_factory.mktemp("int8") / "bundle")


@pytest.fixture(scope="module")
def file(int8: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """It as portable graphs."""
    return convert_with(converter("onnx"), int8, tmp_path_factory.mktemp("file") / "onnx")


NAMES = [name for name, _, _ in faults.all_faults(VOCAB_SIZE)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "normalization"])
def test_a_fault_of_an_operation_is_located(name: str, int8: Artifact, file: Artifact, tmp_path: Path) -> None:
    known = {name: rest for name, *rest in faults.all_faults(int8.manifest.model.vocab_size)}
    fault, located = known[name]
    found = exported(int8, plant(file, tmp_path / "faulty", fault))
    assert found.rounding is not None
    assert found.rounding > 1
    assert located in found.operations[0].operation


@pytest.mark.parametrize("quantizer", [None, "dynamic-int8", "fp16", "static-int8"])
def test_unharmed_files_compute_what_was_exported(quantizer: str | None, tiny: Artifact, tmp_path: Path) -> None:
    bundle = tiny if quantizer is None else convert_with(converter(quantizer), tiny, tmp_path / "bundle")
    artifact = convert_with(converter("onnx"), bundle, tmp_path / "onnx")
    found = exported(bundle, artifact)
    assert found.operations == []
    assert found.rounding is not None
    assert found.rounding < 1
    assert found.num_operations > 20


def test_exact_graphs_differ_from_the_reference_in_no_bit(int8: Artifact, file: Artifact) -> None:
    found = exported(int8, file)
    assert found.logits is not None
    assert (found.rounding, found.logits.max_difference, found.agreement) == (0.0, 0.0, 1.0)


def test_another_normalization_is_named(tmp_path: Path) -> None:
    bundle = Artifact.open(STARTER / "model")
    changed = plant(bundle, tmp_path / "changed", faults.drop_normalization)
    texts = ["A ½ of ﬁve", "plain"]
    found = compare_tokenizers(bundle, changed, texts)
    assert found is not None
    assert found.num_sentences == sum(
        open_tokenizer(bundle).encode(text) != open_tokenizer(changed).encode(text) for text in texts
    )
    assert "identity" in found.summary
    assert compare_tokenizers(bundle, bundle, texts) is None


STARTER_FAULTS = list(faults.all_faults(VOCAB_SIZE))


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """The starter's int8 bundle and its portable graphs."""
    root = tmp_path_factory.mktemp("starter")
    bundle = convert_with(converter("dynamic-int8"), Artifact.open(STARTER / "model"), root / "int8")
    return bundle, convert_with(converter("onnx"), bundle, root / "onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "located"), [case[1:] for case in STARTER_FAULTS], ids=[case[0] for case in STARTER_FAULTS]
)
def test_a_fault_in_the_starters_files_breaks_a_budget_and_is_located(
    fault: Callable[[Path], None], located: str, starter: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    bundle, file = starter
    faulty = plant(file, tmp_path / "faulty", fault)
    (tmp_path / "lingolite.toml").write_text("schema = 1\n")
    arguments: list[str | Path] = ["verify", faulty.path, "--model", STARTER / "model", "--bundle", bundle.path]
    arguments += ["--source", STARTER / "test.en-da.tsv", "--languages", "en-da", "--max-samples", "40", "--json"]
    outcome = run_command(*arguments, cwd=tmp_path)
    assert outcome.code == 3, outcome.err
    result = msgspec.json.decode(outcome.out, type=VerifyResult)
    assert result.exported is not None
    print(f"{located}: {result.exported.located}")
    assert located in (result.exported.located or "").partition(" ")[0]


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["portable", "optimized"])
@pytest.mark.parametrize("seed", range(10))
def test_unharmed_starter_files_pass_with_ten_seeds(
    seed: int, profile: str, starter: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    bundle, file = starter
    if profile == "optimized":
        file = convert_with(converter("onnx"), bundle, tmp_path / "onnx", options={"profile": profile})
    found = exported(bundle, file, seed=seed)
    assert found.logits is not None
    assert found.agreement is not None
    print(f"{profile} {seed}: rounding {found.rounding:.3g}, KL {found.logits.kl_mean:.3g}, same {found.agreement:.4f}")
    assert found.operations == []
