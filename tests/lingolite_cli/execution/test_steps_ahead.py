"""Steps that workers do ahead of runs, and matrices of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, echo_length, figures, read_run, runs

from lingolite_cli.testing import SENTENCES

Call = Callable[..., Outcome]


def _without_times(project: Path) -> list[object]:
    return figures(read_run(runs(project)[-1]))


def test_workers_do_what_times_nothing_and_the_run_finds_it(with_echo: Call, project: Path) -> None:
    assert with_echo("run", "small").code == 0
    alone = _without_times(project)
    with_echo("cache", "prune", "--all")
    done = with_echo("run", "small", "--workers", "2")
    assert done.code == 0, done.err
    ahead = {line.partition(":")[0] for line in done.err.splitlines() if line.endswith(": done by a worker")}
    assert ahead == {"baseline", "half", "shipped", "verify"}
    assert "4 from the cache" in done.out
    assert _without_times(project) == alone
    assert "done by a worker" not in with_echo("run", "small", "--workers", "2").err
    assert not list((project / ".lingolite").glob("**/executor.mark"))


def test_a_matrix_has_a_run_for_each_combination_and_equal_steps_once(with_echo: Call, project: Path) -> None:
    done = with_echo(
        *("run", "small", "--matrix", "half.method=fp16,bf16", "--matrix", "verify.budget.bleu_drop_max=20,0.000001"),
        *("--set", "shipped.backend=echo", "--workers", "2", "--json"),
    )
    assert done.code == 2, done.out
    assert "`bf16`" in done.err or "bundle-bf16" in done.err  # which the backend does not read: told before any work
    assert not (project / "runs").exists()
    done = with_echo(
        *("run", "small", "--matrix", "half.method=fp16,fp16", "--matrix", "verify.budget.bleu_drop_max=20,-1"),
        *("--workers", "2", "--json"),
    )
    assert done.code == 3, done.err
    assert [row["settings"]["verify.budget.bleu_drop_max"] for row in done.json] == ["20", "-1"]
    assert [row["manifest"]["status"] for row in done.json] == ["done", "broken budget"]
    assert done.err.count("baseline: done by a worker") == 1
    assert len(runs(project)) == 2
    table = with_echo("run", "small", "small").out
    assert table.count("recipes/small.toml") == 2
    assert "bleu" in table


def test_a_step_that_fails_in_a_worker_fails_in_the_run_with_its_message(with_echo: Call, project: Path) -> None:
    path = project / "recipes" / "small.toml"
    options = f"options = {{ failing_length = {echo_length(project, f'{SENTENCES[0]} 0')} }}"
    text = path.read_text(encoding="utf-8").replace('model = "half"', f'model = "half"\n{options}')
    path.write_text(text, encoding="utf-8")
    failed = with_echo("run", "small", "--workers", "2")
    assert failed.code == 4
    assert "shipped: failed in a worker: backend `echo` of lingolite-echo 1.2.3 failed: ValueError" in failed.err
    assert "error: backend `echo` of lingolite-echo 1.2.3 failed: ValueError" in failed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--matrix", "half.method"], "expected STEP.KEY=VALUE,VALUE"),
        (["--matrix", "half.method=fp16", "--matrix", "half.method=bf16"], "was given twice"),
        (["--matrix", "half.method=fp16", "--set", "half.method=bf16"], "contradict one another"),
        (["--matrix", "none.method=fp16"], "error: --matrix none.method: there is no step `none`"),
        (["--matrix", "half=fp16,bf16"], "for example `--matrix half.KEY=VALUE`"),
        (["--matrix", "half.method.name=fp16"], "--matrix half.method.name: `method` is a value, not a table"),
        (["--matrix", "half.method=fp16", "--set", "none.method=fp16"], "error: --set none.method: there is no step"),
        (["--matrix", "half.method=fp16,huffman"], "there is no quantizer called `huffman`"),
        (["--matrix", "half.method=fp16", "--plan"], "--plan is for one run"),
        (["--matrix", "half.method=fp16", "--lock"], "--lock is for one run"),
        (["--workers", "2", "--fresh"], "--fresh does every step in the run itself"),
        (["--executor", "moon"], "there is no executor called `moon`"),
        (["--option", "address=x"], "--option without --executor"),
        (["--executor", "local", "--option", "address=x"], "unknown key `address`"),
        (["none"], "none"),
    ],
)
def test_wrong_matrices_and_executors_are_refused_before_any_work(
    with_echo: Call, project: Path, arguments: list[str], message: str
) -> None:
    refused = with_echo("run", "small", *arguments)
    assert refused.code == 2, refused.err
    assert message in refused.err
    assert not (project / "runs").exists()


def test_one_method_has_nothing_to_share(with_echo: Call) -> None:
    refused = with_echo("quantize", "--method", "fp16", "--out", "x", "--workers", "2")
    assert (refused.code, "for --method compare" in refused.err) == (2, True)
