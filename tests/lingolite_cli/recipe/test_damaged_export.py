"""The steps of the mobile recipe on the starter, with the exported file damaged between export and evaluation.

The run fails with exit code 3, and its verdicts name the operation. The recipe is that of the repository; only its last
step before the evaluation, the export, is replaced by what it had made, damaged.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tomli_w
from command_line import Outcome, read_run, run_command, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.schema import tomllib
from tests.lingolite_cli.evaluation import planted_graphs, planted_operations
from tests.lingolite_cli.evaluation.planted_faults import plant

REPOSITORY = Path(__file__).parents[3]
STEPS = ("float", "baseline", "int8", "onnx", "shipped", "verify")
CASES = {
    **{name: planted_graphs.FAULTS[name] for name in ("one weight in fifty", "scale of one row", "normalization")},
    "queries a third too large": (planted_operations.enlarge_queries, "decoder.layers.1.self_attn.q_proj"),
    "keys of layers exchanged": (planted_operations.exchange_keys_of_layers, "decoder.layers.0.cross_attn"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the recipe's steps up to the verdict, which was run once with the unharmed file."""
    root = tmp_path_factory.mktemp("mobile")
    shutil.copy(REPOSITORY / "lingolite.toml", root)
    shutil.copytree(REPOSITORY / "recipes", root / "recipes")
    recipe = tomllib.loads((root / "recipes" / "mobile.toml").read_text(encoding="utf-8"))
    recipe["steps"] = [step for step in recipe["steps"] if step["id"] in STEPS]
    for step in recipe["steps"]:
        if step["uses"] == "evaluate":
            step["max_samples"] = 40
    # Forty sentences are too few for an interval of 0.5 BLEU.
    recipe["steps"][-1]["allow_inconclusive"] = True
    (root / "recipes" / "mobile.toml").write_text(tomli_w.dumps(recipe), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def unharmed(project: Path) -> Outcome:
    """The run with the file as it was exported."""
    return run_command("run", "recipes/mobile.toml", cwd=project)


def exported(project: Path, name: str) -> ExportedComparison:
    """What the last run of that name found of the file."""
    result = read_run(runs(project, name)[-1]).steps[-1].result
    assert isinstance(result, VerifyResult)
    assert result.exported is not None
    return result.exported


@pytest.mark.slow
def test_the_recipe_passes_with_the_file_that_it_exported(unharmed: Outcome, project: Path) -> None:
    assert unharmed.code == 0, unharmed.out + unharmed.err
    assert exported(project, "mobile").found == "run"
    assert exported(project, "mobile").located is None


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_recipe_fails_with_a_damaged_file_and_names_the_operation(
    name: str, unharmed: Outcome, project: Path, tmp_path: Path
) -> None:
    fault, located = CASES[name]
    damaged = plant(Artifact.open(runs(project, "mobile")[0] / "artifacts" / "onnx"), tmp_path / "onnx", fault)
    recipe = tomllib.loads((project / "recipes" / "mobile.toml").read_text(encoding="utf-8"))
    recipe["name"] = f"damaged {sorted(CASES).index(name)}".replace(" ", "-")
    recipe["inputs"]["damaged"] = {"bundle": str(damaged.path)}
    recipe["steps"] = [step for step in recipe["steps"] if step["id"] != "onnx"]
    for step in recipe["steps"]:
        if step["id"] == "shipped":
            step["model"] = "inputs.damaged"
    (project / "recipes" / "damaged.toml").write_text(tomli_w.dumps(recipe), encoding="utf-8")
    outcome = run_command("run", "recipes/damaged.toml", cwd=project)
    assert outcome.code == 3, outcome.out + outcome.err
    found = exported(project, recipe["name"])
    assert found.found in ("run", "cache")
    print(f"{name}: {found.located}")
    assert located in (found.located or "").partition(" ")[0]
    assert f"located: {located}" in " ".join(outcome.out.split())
