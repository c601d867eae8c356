"""The step `search`, with real translations of the tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from command_line import Outcome, contents, read_run, runs
from lingolite_torch.backends import CachedBackend
from lingolite_torch.options import TorchOptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.precision_search import SearchRequest, search_job
from lingolite_cli.precision_search.figures import Sensitivity
from lingolite_cli.recipe.work.judgement import VerifyStep
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.testing import SENTENCES
from lingolite_cli.tokenization.opening import open_tokenizer

Command = Callable[..., Outcome]

RECIPE = """\
schema = 1
name = "smallest"

[inputs]
model = { bundle = "model" }
dev = { tsv = "dev.tsv", languages = ["en", "da"] }

[[steps]]
id = "baseline"
uses = "evaluate"
backend = "cached"
corpus = "inputs.dev"
metrics = ["chrf"]

[[steps]]
id = "search"
uses = "search"
reference = "baseline"
granularity = "layer"
sample = 7
max_trials = 6
allow_inconclusive = true
budget = { chrf_drop_max = 12.0 }
"""


@pytest.fixture
def mixing(project: Path, tiny: Artifact) -> Path:
    """The project with a dev set whose references are the model's own translations: only quantization loses chrF."""
    sources = [f"{sentence} {number}" for number in range(3) for sentence in SENTENCES]
    backend = CachedBackend(tiny, options=TorchOptions(), threads=1)
    translator = Translator(
        backend,
        open_tokenizer(tiny),
        tiny.manifest.model,
        ("en", "da"),
        options=DecodingOptions(max_length=48),
    )
    pairs = zip(sources, translator.translate(sources), strict=True)
    rows = [f"{source}\t{found.text}\n" for source, found in pairs if " ".join(found.text.split())]
    rows = [row for row in rows if row.count("\t") == row.count("\n") == 1]  # bytes may be anything
    (project / "dev.tsv").write_text("".join(rows[:14]), encoding="utf-8")
    settings = (
        (project / "lingolite.toml").read_text(encoding="utf-8").replace('backend = "echo"', 'backend = "cached"')
    )
    (project / "lingolite.toml").write_text(settings, encoding="utf-8")
    (project / "recipes" / "search.toml").write_text(RECIPE, encoding="utf-8")
    return project


def found(project: Path) -> SearchResult:
    (_, record, *_) = read_run(runs(project, "smallest")[-1]).steps
    assert isinstance(record.result, SearchResult)
    return record.result


def test_the_smallest_that_fits_is_made_and_another_budget_measures_nothing_twice(
    lingolite: Command, mixing: Path
) -> None:
    assert lingolite("run", "recipes/search.toml").code == 0
    result = found(mixing)
    names = [trial.name for trial in result.trials]
    assert names[:2] == ["uniform int4", "uniform int8"]
    assert len(set(names)) == len(names) <= 6
    fitting = [trial for trial in result.trials if trial.difference.delta >= -12.0]
    smallest = min(fitting, key=lambda trial: trial.size_bytes)
    assert result.chosen == smallest.name
    artifact = Artifact.open(runs(mixing, "smallest")[-1] / "artifacts" / "search")
    assert artifact.size_bytes == result.artifact.size_bytes == smallest.size_bytes
    assert (smallest.default, smallest.layers) == (result.options["default"], result.options["layers"])

    states = mixing / ".lingolite" / "cache" / "state" / "search"
    before = {path: path.stat().st_mtime_ns for path in states.rglob("*.json")}
    assert len(before) == 1 + len(result.trials) + len(result.sensitivities)
    assert lingolite("run", "recipes/search.toml", "--set", "search.budget.chrf_drop_max=11.99").code == 0
    after = {path: path.stat().st_mtime_ns for path in states.rglob("*.json")}
    assert before.items() <= after.items()
    assert found(mixing).trials[0].verdict.limit == 11.99


@pytest.mark.slow
def test_workers_measure_what_the_run_itself_would(lingolite: Command, mixing: Path) -> None:
    run = ("run", "recipes/search.toml", "--set", "search.granularity=block", "--set", "search.max_trials=3")
    assert lingolite(*run, "--set", "search.workers=2").code == 0
    shared = found(mixing)
    states = mixing / ".lingolite" / "cache" / "state" / "search"
    known = set(states.rglob("*.json"))
    assert lingolite(*run, "--fresh").code == 0
    assert found(mixing) == shared
    assert set(states.rglob("*.json")) == known, "workers measured what is needed, and nothing else"


def test_the_recipe_that_is_printed_makes_the_same_artifact_and_units_are_ranked(
    lingolite: Command, mixing: Path
) -> None:
    (mixing / "lingolite.toml").write_text(
        (mixing / "lingolite.toml").read_text(encoding="utf-8")
        + '\n[dev]\ntsv = "dev.tsv"\nlanguages = ["en", "da"]\n'
        + "\n[defaults.search]\nsample = 7\n",
        encoding="utf-8",
    )
    asked = ("--max-trials", "3", "--granularity", "layer", "--allow-inconclusive", "--budget", "chrf_drop_max=12")
    outcome = lingolite("quantize", "--search", "--out", "best", *asked)
    assert outcome.code == 0, outcome.err
    (run,) = runs(mixing, "search")
    saved = msgspec.json.decode((run / "search_results.json").read_bytes())
    assert saved["recipe"] in outcome.out
    assert (run / "figures" / "trade-off-search.svg").read_text(encoding="utf-8").startswith("<svg xmlns")
    assert "Configurations (search: 14 sentences)" in (run / "report.html").read_text(encoding="utf-8")
    recipe = mixing / "again.toml"
    recipe.write_text(f'name = "again"\n[inputs]\nmodel = {{ bundle = "model" }}\n{saved["recipe"]}', encoding="utf-8")
    assert lingolite("run", "again.toml").code == 0
    again = Artifact.open(runs(mixing, "again")[0] / "artifacts" / "mixed")
    assert again.digest == Artifact.open(mixing / "best").digest

    rows = msgspec.convert(saved["search"]["sensitivities"], list[Sensitivity])
    costs = [row.cross_entropy_delta for row in rows if row.precision == "int4"]
    assert costs == sorted(costs, reverse=True)
    assert len(costs) == 6
    _check_alone(rows[0], lingolite, mixing)


def _check_alone(row: Sensitivity, lingolite: Command, project: Path) -> None:
    """A unit's cost measured apart: it alone in 4 bits by `quantize`, and `eval` on the sentences of the sample."""
    option = f'layers={{"{row.unit}{"" if "embedding" in row.unit else ".*"}" = "int4"}}'
    made = ("quantize", "--method", "mixed", "--option", "default=fp32", "--option", option, "--out", "alone")
    assert lingolite(*made).code == 0
    sample = (project / "dev.tsv").read_bytes().rstrip(b"\n").split(b"\n")[::2]
    (project / "sample.tsv").write_bytes(b"".join(line + b"\n" for line in sample))
    outcome = lingolite("eval", "--model", "alone", "--source", "sample.tsv", "--metrics", "chrf", "--json")
    assert outcome.code == 0, outcome.err
    assert row.difference is not None
    assert row.difference.candidate == pytest.approx(outcome.json["chrf"], abs=1e-9)
    full = Artifact.open(project / "model").size_bytes
    assert row.saved_bytes == pytest.approx(full - Artifact.open(project / "alone").size_bytes, abs=200)


def test_where_none_fits_the_best_is_named_and_nothing_is_made(lingolite: Command, mixing: Path) -> None:
    (mixing / "lingolite.toml").write_text(
        (mixing / "lingolite.toml").read_text(encoding="utf-8") + '\n[dev]\ntsv = "dev.tsv"\n', encoding="utf-8"
    )
    limits = (
        "--precisions",
        "int4",
        "--granularity",
        "layer",
        "--max-samples",
        "10",
        "--budget",
        "chrf_drop_max=0.0001",
    )
    outcome = lingolite("quantize", "--search", "--out", "best", *limits)
    assert outcome.code == 3
    assert "no mix of int4 stays within chrf_drop_max 0.0001" in outcome.err
    assert "the best that was seen is uniform int4 (" in outcome.err
    assert "hint: allow a higher precision: int8 or fp16 or fp32" in outcome.err
    assert not (mixing / "best").exists()
    (run,) = (mixing / "runs" / "search").iterdir()
    assert not (run / "artifacts").exists()
    assert "the best that was seen is uniform int4 (" in (run / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ("method=fp16", "quantizer `fp16` gives all matrices the same precision", "choose one that mixes them: mixed"),
        ('precisions=["int4", "int9"]', "`mixed` has no precision `int9`", "did you mean `int8`?"),
        ("precisions=[]", "there is nothing to choose from", "known: int4, int8, fp16, fp32"),
        ("budget.bleu_drop_max=1.0", "a search needs one budget", "for example chrf_drop_max = 0.5"),
        ("budget={bleu_drop_max = 1.0}", "there is no such budget here", "did you mean `chrf_drop_max`?"),
        ("options.default=int8", "this is what a search finds", "leave it out"),
        ("granularity=blocks", 'granularity`: invalid value, not "blocks"', "did you mean `block`?"),
        ("backend=int8", "backend `int8` does not run bundle-int4", "choose another: eager, cached"),
        ("reference=other", "there is no `other`", "known: baseline"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_work(
    lingolite: Command, mixing: Path, change: str, message: str, hint: str
) -> None:
    before = contents(mixing)
    outcome = lingolite("run", "recipes/search.toml", "--set", f"search.{change}")
    assert outcome.code == 2
    assert message in outcome.err
    assert hint in outcome.err
    assert contents(mixing) == before


@pytest.mark.parametrize("is_allowed", [False, True])
def test_what_was_found_is_verified_against_an_implausible_model_where_that_is_allowed(
    is_allowed: bool, mixing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mixing)
    request = SearchRequest(
        model=mixing / "model",
        corpus=CorpusSpec(tsv="dev.tsv", languages=("en", "da")),
        budget={"chrf_drop_max": 12},
        allow_implausible_reference=is_allowed,
    )
    (verify,) = (step for step in search_job(JobContext(is_quiet=True), request).recipe.steps if step.id == "verify")
    assert isinstance(verify, VerifyStep)
    assert verify.allow_implausible_reference is is_allowed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "chrf_drop_max=1", "--out", "x"], "--budget is for --search"),
        (["--max-trials", "3", "--out", "x"], "--max-trials is for --search"),
        (["--allow-implausible-reference", "--out", "x"], "--allow-implausible-reference is for --search"),
        (["--languages", "en-da", "--method", "fp16", "--out", "x"], "`fp16` reads no text"),
        (["--search", "--source", "dev.tsv"], "--out is missing"),
        (["--search", "--out", "x"], "no dev set: there is no --source, and no [dev] in lingolite.toml"),
        (["--search", "--out", "model", "--source", "dev.tsv"], "--out model would be written over"),
        (["--search", "--out", "x", "--source", "dev.tsv", "--method", "dynamic-int8"], "gives all matrices the same"),
        (["--search", "--out", "x", "--source", "dev.tsv", "--budget", "chrf"], "expected KEY=VALUE"),
        (["--search", "--out", "x", "--source", "dev.tsv", "--executor", "nowhere"], "there is no executor"),
        (["--search", "--out", "x", "--source", "dev.tsv", "--workers", "2", "--option", "a=1"], "unknown key `a`"),
        (["--workers", "2", "--out", "x"], "--executor and --workers are for --method compare and --search"),
    ],
)
def test_flags_that_could_not_be_followed_are_refused_before_any_work(
    lingolite: Command, mixing: Path, arguments: list[str], message: str
) -> None:
    before = contents(mixing)
    outcome = lingolite("quantize", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert contents(mixing) == before
