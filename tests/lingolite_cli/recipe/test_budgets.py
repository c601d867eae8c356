"""Budgets fail a run, and which value of an option wins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from command_line import RECIPE, Outcome, read_run, runs

from lingolite_cli.artifact import TOKENIZER_NAME, read_manifest, write_manifest
from lingolite_cli.runs.measured_results import EvaluateResult, VerifyResult

Command = Callable[..., Outcome]


def verdict_lines(outcome: Outcome) -> dict[str, str]:
    """The rows of the table of verdicts, by budget."""
    return {line.split()[0]: line for line in outcome.out.splitlines() if line.startswith(" verify.")}


def test_a_broken_budget_exits_3_and_says_which_limit_and_what_was_seen(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", "--set", "verify.budget.size_mb_max=0.001")
    assert outcome.code == 3
    manifest = read_run(runs(project)[0])
    assert manifest.status == "broken budget"
    result = manifest.steps[3].result
    assert isinstance(result, VerifyResult)
    verdict = result.verdicts[-1]
    assert (verdict.budget, verdict.limit, verdict.status) == ("size_mb_max", 0.001, "fail")
    files = (project / "runs").rglob("artifacts/half/*")
    size_mb = sum(file.stat().st_size for file in files if file.name != "lingolite.json") / 1e6
    assert verdict.seen == pytest.approx(size_mb, rel=1e-12)
    row = verdict_lines(outcome)["verify.size_mb_max"].split()
    assert row[1:] == ["0.001", f"{size_mb:.4g}", "fail"]
    why = f"{size_mb:.4g} MB is outside the limit of 0.001 MB"
    assert f"verify.size_mb_max: {why}" in outcome.out.splitlines()
    assert outcome.out.splitlines()[-1] == "fail: 1 of 3 budgets broken: verify.size_mb_max"


def test_another_limit_is_judged_without_measuring_again(with_echo: Command, project: Path) -> None:
    assert with_echo("run", "recipes/small.toml").code == 0
    outcome = with_echo(
        "run", "recipes/small.toml", "--set", "verify.budget={ size_ratio_max = 0.1, parity_min = 0.2 }"
    )
    assert outcome.code == 3
    verify = read_run(runs(project)[-1]).steps[3]
    assert verify.status == "cached"
    assert isinstance(verify.result, VerifyResult)
    assert [(verdict.budget, verdict.status) for verdict in verify.result.verdicts] == [
        ("size_ratio_max", "fail"),
        ("parity_min", "pass"),
    ]


def test_budgets_on_time_are_measured_each_time_and_the_rest_is_not(with_echo: Command, project: Path) -> None:
    """An impossible ratio and a limit that anything keeps."""
    limits = (
        "verify.budget={ tokens_per_second_ratio_min = 1e9, download_ratio_max = 1.0, cold_start_seconds_max = 1e9 }"
    )
    run = ("run", "recipes/small.toml", "--set", limits, "--set", "verify.timing={ num_sentences = 2, batch_size = 3 }")
    assert with_echo("run", "recipes/small.toml").code == 0
    plan = {step["id"]: step for step in with_echo(*run, "--plan", "--json").json}
    assert (plan["verify"]["is_cached"], plan["verify"]["why"]) == (
        False,
        "timings are always taken anew; the rest was done before",
    )
    outcome = with_echo(*run)
    assert outcome.code == 3, outcome.err
    manifest = read_run(runs(project)[-1])
    assert [step.id for step in manifest.steps if step.status == "done"] == ["verify", "report"]
    result = manifest.steps[3].result
    assert isinstance(result, VerifyResult)
    assert [(verdict.status, verdict.rounds) for verdict in result.verdicts] == [
        ("fail", 6),
        ("pass", None),
        ("pass", 6),
    ]
    assert result.timing is not None
    assert (result.timing.num_sentences, result.timing.batch_size) == (2, 3)
    assert [(system.name, len(system.rounds)) for system in result.timing.systems] == [("baseline", 6), ("shipped", 6)]
    assert "verify.tokens_per_second_ratio_min: " in outcome.out


def test_kept_budgets_exit_0(with_echo: Command) -> None:
    outcome = with_echo("run", "recipes/small.toml")
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "pass: all 2 budgets met"


def test_scores_stand_beside_their_steps_and_signatures_that_differ_too(with_echo: Command) -> None:
    shared = with_echo("run", "recipes/small.toml").out
    assert [line.split()[:2] for line in shared.splitlines()[3:5]] == [["baseline", "echo"], ["shipped", "echo"]]
    assert shared.count("\nbleu: nrefs:1|") == 1
    option = "shipped.metric_options.exact={lowercase = true}"
    differing = with_echo("run", "recipes/small.toml", "--set", option).out
    assert "\nexact of baseline: exact|case:mixed|" in differing
    assert "\nexact of shipped: exact|case:lc|" in differing


def test_a_worse_candidate_breaks_the_budget_on_quality(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", "--set", "shipped.options.skip_every=4")
    assert outcome.code == 3
    result = read_run(runs(project)[0]).steps[3].result
    assert isinstance(result, VerifyResult)
    assert [verdict.status for verdict in result.verdicts] == ["fail", "pass"]
    assert result.differences[0].high is not None
    assert result.differences[0].high < -20
    assert outcome.out.splitlines()[-1] == "fail: 1 of 2 budgets broken: verify.bleu_drop_max"


@pytest.mark.parametrize("allow", [False, True])
def test_an_inconclusive_verdict_fails_unless_it_is_allowed(with_echo: Command, project: Path, allow: bool) -> None:
    """Nine sentences translated alike: no difference is seen, and three more may be lost."""
    few = ["--set", "baseline.max_samples=9", "--set", "shipped.max_samples=9"]
    outcome = with_echo("run", "recipes/small.toml", *few, "--set", f"verify.allow_inconclusive={str(allow).lower()}")
    assert outcome.code == (0 if allow else 3)
    result = read_run(runs(project)[0]).steps[3].result
    assert isinstance(result, VerifyResult)
    assert (result.verdicts[0].status, result.verdicts[0].allowed) == ("inconclusive", allow)
    row = verdict_lines(outcome)["verify.bleu_drop_max"]
    assert ("inconclusive (allowed)" in row) is allow
    assert "inconclusive" in row
    assert outcome.out.splitlines()[-1] == (
        "pass: 1 of 2 budgets met, inconclusive but allowed: verify.bleu_drop_max"
        if allow
        else "fail: 1 of 2 budgets broken: verify.bleu_drop_max"
    )


@pytest.mark.parametrize(
    ("budget", "code"),
    [("exact_min=99.9", 0), ("exact_min=100.1", 3), ("exact_match_min=1.0", 0), ("parity_min=1.01", 3)],
)
def test_a_floor_is_kept_or_broken(with_echo: Command, budget: str, code: int) -> None:
    assert with_echo("run", "recipes/small.toml", "--set", f"verify.budget.{budget}").code == code


def test_verify_judges_two_artifacts_without_a_recipe(with_echo: Command, project: Path) -> None:
    assert with_echo("quantize", "--method", "fp16", "--out", "half").code == 0
    kept = with_echo("verify", "half", "--budget", "size_ratio_max=0.8", "--budget", "bleu_drop_max=20")
    assert kept.code == 0, kept.err
    broken = with_echo("verify", "half", "--budget", "size_ratio_max=0.7", "--json")
    assert broken.code == 3
    assert broken.json["verdicts"][0]["status"] == "fail"
    untimed = with_echo("verify", "half", "--budget", "size_mb_max=9", "--max-rounds", "12")
    assert (untimed.code, untimed.err) == (
        2,
        "error: --max-rounds without a budget on time\n\nhint: add one: --budget latency_p95_ms_max=50\n",
    )
    assert broken.json["differences"][0]["metric"] == "bleu", "the project's metrics where none are named"
    unknown = with_echo("verify", "half", "--budget", "size=3")
    assert unknown.code == 2
    assert "step `verify`, `budget.size`: there is no such budget here" in unknown.err
    assert with_echo("verify", "half", "--budget", "size") == Outcome(
        2, "", "error: --budget size: expected KEY=VALUE\n\nhint: for example `--budget bleu_drop_max=0.5`\n"
    )


def test_verify_scores_what_a_budget_is_on(with_echo: Command) -> None:
    assert with_echo("quantize", "--method", "fp16", "--out", "half").code == 0
    outcome = with_echo(
        "verify", "half", "--metrics", "chrf", "--budget", "ter_drop_max=20", "--budget", "size_mb_max=0.1"
    )
    assert outcome.code == 3
    assert [line.split()[0] for line in outcome.out.splitlines() if "[+0.00, +0.00]" in line] == ["chrf", "ter"]
    (row,) = [line.split() for line in outcome.out.splitlines() if line.startswith(" ter_drop_max")]
    assert row[-1] == "pass"
    assert outcome.out.splitlines()[-1] == "fail: 1 of 2 budgets broken: size_mb_max"


def max_length_seen(project: Path) -> tuple[int, int]:
    """The `max_length` and `batch_size` that the last run's baseline used."""
    manifest = read_run(runs(project)[-1])
    result = manifest.steps[0].result
    assert isinstance(result, EvaluateResult)
    return result.decoding.max_length, manifest.recipe["steps"][0]["batch_size"]


def test_precedence_is_defaults_then_settings_then_recipe_then_set(with_echo: Command, project: Path) -> None:
    recipe, settings = project / "recipes" / "small.toml", project / "lingolite.toml"
    run = ("run", "recipes/small.toml", "--set", "verify.budget={}")
    run += ("--set", "verify.allow_implausible_reference=true")  # a short max_length leaves translations unfinished
    assert with_echo(*run).code == 0
    assert max_length_seen(project) == (48, 32), "the artifact's own, and the option's default"
    settings.write_text(settings.read_text() + "batch_size = 5\n[defaults.evaluate.decoding]\nmax_length = 31\n")
    assert with_echo(*run).code == 0
    assert max_length_seen(project) == (31, 5)
    step = 'uses = "evaluate"\nmetrics = ["bleu", "exact"]\n'
    recipe.write_text(RECIPE.replace(step, f"{step}batch_size = 6\ndecoding = {{ max_length = 32 }}\n"))
    assert with_echo(*run).code == 0
    assert max_length_seen(project) == (32, 6)
    assert with_echo(*run, "--set", "baseline.decoding.max_length=33", "--set", "baseline.batch_size=7").code == 0
    assert max_length_seen(project) == (33, 7)


def test_set_changes_the_one_step_that_it_names(with_echo: Command, project: Path) -> None:
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text() + "[defaults.evaluate.decoding]\nmax_length = 31\n")
    change = ("--set", "shipped.decoding.max_length=40")
    steps = {step["id"]: step for step in with_echo("run", "recipes/small.toml", "--json", *change).json["steps"]}
    assert steps["baseline"]["result"]["decoding"]["max_length"] == 31
    assert steps["shipped"]["result"]["decoding"]["max_length"] == 40


@pytest.mark.parametrize(
    ("argument", "message", "hint"),
    [
        ("basline.batch_size=3", "--set basline.batch_size: there is no step `basline`", "did you mean `baseline`?"),
        (
            "baseline.batch_size",
            "--set baseline.batch_size: expected KEY=VALUE",
            "for example `--set baseline.batch_size=8`",
        ),
        ("=3", "--set =3: expected KEY=VALUE", "for example `--set baseline.batch_size=8`"),
        ("baseline=3", "--set baseline: step `baseline` without a key", "for example `--set baseline.KEY=VALUE`"),
        (
            "baseline.batch_siz=3",
            "recipes/small.toml: step `baseline`: unknown key `batch_siz` = 3",
            "did you mean `batch_size`?",
        ),
        (
            "baseline.batch_size=0",
            "recipes/small.toml: step `baseline`, `batch_size`: expected `int` >= 1, not 0",
            None,
        ),
        ("baseline.metrics.first=3", "--set baseline.metrics.first: `metrics` is a value, not a table", None),
    ],
    ids=["unknown step", "no value", "no key", "no key of the step", "unknown key", "range", "not a table"],
)
def test_a_wrong_set_is_named(with_echo: Command, project: Path, argument: str, message: str, hint: str | None) -> None:
    outcome = with_echo("run", "recipes/small.toml", "--set", argument)
    assert outcome == Outcome(2, "", f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else ""))
    assert not (project / "runs").exists()


def test_parity_of_artifacts_with_different_tokenizers_is_not_measured_and_fails(
    with_echo: Command, project: Path
) -> None:
    other = project / "other"
    shutil.copytree(project / "model", other)
    tokenizer = other / TOKENIZER_NAME
    # One field more that SentencePiece does not know: it still loads, but need no longer be the same tokenizer.
    tokenizer.write_bytes(tokenizer.read_bytes() + bytes([0xC0, 0x0C, 1]))
    write_manifest(other, read_manifest(other))
    backends = ["--reference-backend", "echo", "--candidate-backend", "echo"]
    outcome = with_echo("verify", other, *backends, "--budget", "parity_min=0.5", "--json")
    assert outcome.code == 3
    result = msgspec.json.decode(outcome.out, type=VerifyResult)
    assert (result.parity, [verdict.status for verdict in result.verdicts]) == (None, ["not measured"])
    assert result.warnings == [
        "parity was not measured: the two artifacts have different tokenizers; "
        "their pieces are the same, so it is scores or settings that differ"
    ]


def test_new_faults_are_counted_listed_and_judged(with_echo: Command, project: Path) -> None:
    """Translations cut after four tokens: none is finished, and those that lose their number are named."""
    cut = ["--set", "shipped.decoding.max_length=4", "--set", "verify.budget.new_unfinished_max=20"]
    outcome = with_echo("run", "recipes/small.toml", *cut, "--set", "verify.budget.new_tags_max=0")
    assert outcome.code == 3
    result = read_run(runs(project)[0]).steps[3].result
    assert isinstance(result, VerifyResult)
    faults = {fault.kind: fault for fault in result.faults}
    assert (faults["unfinished"].reference, faults["unfinished"].candidate) == (0, 21)
    assert faults["unfinished"].new == list(range(21))
    assert set(faults["numbers"].new) <= set(range(21))
    assert [pair.index for pair in result.faulty] == list(range(20))
    verdicts = {verdict.budget: verdict for verdict in result.verdicts}
    assert verdicts["new_unfinished_max"].status == "fail"
    assert verdicts["new_unfinished_max"].why == "21 sentences is outside the limit of 20 sentences"
    assert verdicts["new_tags_max"].status == "pass"
    report = (runs(project)[0] / "report.md").read_text(encoding="utf-8")
    assert "## Faults" in report
    assert "| unfinished | 0 | 21 | 21 | 1, 2, 3," in report
