"""`lingolite history`: what a run leaves there however it ends, what is listed, filled in and imported."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Outcome, contents, make_project, read_run, run_command

from lingolite_cli.artifact import Artifact

Command = Callable[..., Outcome]
RECIPE = "recipes/small.toml"
STORE = Path(".lingolite") / "history.sqlite"
BROKEN = ("--set", "verify.budget.size_ratio_max=0.1")


@pytest.fixture(scope="module")
def two_runs(tiny: Artifact, echo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project where one run passed, and one broke a budget. Not to be written to."""
    root = make_project(tmp_path_factory.mktemp("history") / "project", tiny)
    assert run_command("run", RECIPE, cwd=root, plugins=[echo]).code == 0
    assert run_command("run", RECIPE, *BROKEN, cwd=root, plugins=[echo]).code == 3
    return root


@pytest.fixture
def ran(with_echo: Command, project: Path, two_runs: Path) -> Command:
    """The command in a copy of that project."""
    for name in ("runs", ".lingolite"):
        shutil.copytree(two_runs / name, project / name)
    return with_echo


def listed(command: Command, *arguments: str | Path) -> list[dict[str, Any]]:
    outcome = command("history", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return list(outcome.json["runs"])


def test_runs_are_kept_with_their_figures(ran: Command, project: Path) -> None:
    (project / "runs").rename(project / "elsewhere")  # so that nothing can be filled in
    first, second = listed(ran)
    assert (first["status"], first["problem"], first["num_budgets"]) == ("done", None, 2)
    assert second["status"] == "broken budget"
    assert second["problem"].startswith("verify.size_ratio_max: 0.7")
    assert (first["shipped"], first["reference"]) == ("shipped", "baseline")
    manifest = read_run(project / "elsewhere" / "small" / first["id"])
    assert first["directory"] == f"runs/small/{manifest.id}"
    assert (first["started"], first["seconds"]) == (manifest.started, manifest.seconds)
    shipped = first["systems"][1]
    result: Any = manifest.steps[2].result
    assert shipped["digest"] == result.artifact.digest
    assert shipped["size_bytes"] == result.artifact.size_bytes
    assert {score["metric"]: score["value"] for score in shipped["scores"]} == {
        name: score.value for name, score in result.metrics.items()
    }
    assert shipped["scores"][1]["low"] == 100.0


def test_list_says_how_each_run_ended_and_where_figures_went(ran: Command) -> None:
    lines = [line.split() for line in ran("history").out.splitlines() if line.strip()]
    assert lines[0] == "run recipe verdict bleu exact MB p50 ms".split()
    assert lines[2][1:] == ["small", "pass", "100.00", "100.00", "0.38"]
    assert lines[3][1:] == ["small", "broken", "budget", "100.00", "100.00", "0.38"]
    assert ["small", "MB", "2", "0.38", "0.38", "+0.00", "▄▄"] in lines


def test_failed_run_is_kept_with_what_it_had_and_why(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", RECIPE, "--set", 'shipped.options={gate="missing"}')
    assert outcome.code != 0
    (run,) = listed(with_echo)
    assert run["status"] == "failed"
    assert run["problem"].startswith("at `shipped`: backend `echo` cannot open ")
    assert (project / run["directory"] / "report.md").is_file()
    assert [system["name"] for system in run["systems"]] == ["baseline"]
    (project / STORE).unlink()
    assert listed(with_echo) == [run]


def test_deleted_store_is_filled_from_the_runs(ran: Command, project: Path) -> None:
    before = listed(ran)
    (project / STORE).unlink()
    assert listed(ran) == before
    assert (project / STORE).is_file()


def test_run_that_cannot_be_read_is_left_out_with_a_warning(ran: Command, project: Path) -> None:
    first, second = (run["id"] for run in listed(ran))
    (project / STORE).unlink()
    (project / "runs" / "small" / first / "manifest.json").write_text("{")
    outcome = ran("history", "--json")
    assert [run["id"] for run in outcome.json["runs"]] == [second]
    assert f"{first}/manifest.json is not the manifest of a run" in outcome.err


def test_damaged_store_is_set_aside_and_filled_again(ran: Command, project: Path) -> None:
    before = listed(ran)
    (project / STORE).write_bytes(b"x" * 9000)
    outcome = ran("history", "--json")
    assert outcome.json["runs"] == before
    assert "was damaged (file is not a database); it is kept as history.sqlite.damaged-1" in outcome.err
    assert ran("history", "--json").err == ""


def test_store_of_a_newer_version_fails_no_run(ran: Command, project: Path) -> None:
    with sqlite3.connect(project / STORE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    outcome = ran("run", RECIPE)
    assert outcome.code == 0
    assert "warning: this run is not in the history: " in outcome.err
    outcome = ran("history")
    assert outcome.code == 2
    assert "was written by a newer lingolite: it has version 99" in outcome.err
    assert "hint: upgrade lingolite" in outcome.err


def test_filters(ran: Command, project: Path) -> None:
    first, second = listed(ran)
    assert listed(ran, "--limit", "1") == [second]
    assert "1 older ones are not shown; --limit 2 shows all" in ran("history", "--limit", "1").out
    assert listed(ran, "--recipe", "small") == listed(ran, "--since", "1d") == [first, second]
    assert listed(ran, "--since", "2999-01-01") == []
    assert listed(ran, "--since", first["started"]) == [first, second]
    for arguments, message in [
        (("--recipe", "smal"), "there are no runs of a recipe `smal`\n\nhint: did you mean `small`?"),
        (("--since", "soon"), "--since soon: expected a day or a number of days"),
    ]:
        outcome = ran("history", *arguments)
        assert outcome.code == 2
        assert message in outcome.err


def test_plot_is_written_where_asked(ran: Command, project: Path) -> None:
    assert ran("history", "--plot", "history.html").out.endswith("plot: history.html\n")
    assert (project / "history.html").read_text(encoding="utf-8").count("<svg") == 3
    assert ran("history", "--plot", "history.gif").code == 2


def test_show_tells_of_one_run_and_the_one_before(ran: Command, project: Path) -> None:
    first, second = (run["id"] for run in listed(ran))
    outcome = ran("history", "show", second[-6:])
    assert outcome.out.startswith(f"{second}: small, broken budget, ")
    assert "problem: verify.size_ratio_max: " in outcome.out
    assert f"the run before: {first}, pass\n  bleu: 100.00 → 100.00 (+0.00)" in outcome.out
    shutil.rmtree(project / "runs" / "small" / second)
    assert f"run: runs/small/{second} (no longer there)" in ran("history", "show", second).out
    for text, message in (("none", "there is no run `none`"), ("2", "2 runs have an id like `2`")):
        outcome = ran("history", "show", text)
        assert outcome.code == 2
        assert message in outcome.err


def test_runs_of_elsewhere_are_imported_once(ran: Command, project: Path, tmp_path: Path) -> None:
    theirs = listed(ran)
    document = tmp_path / "theirs.json"
    document.write_text(ran("history", "--json").out)
    (project / "runs").rename(tmp_path / "old")
    (project / STORE).unlink()
    run = tmp_path / "old" / "small" / theirs[0]["id"]
    for path, said in (
        (run, "1 imported, 0 there already"),
        (run / "manifest.json", "0 imported, 1 there already"),
        (document, "1 imported, 1 there already"),
        (document, "0 imported, 2 there already"),
    ):
        outcome = ran("history", "import", path)
        assert (outcome.code, outcome.out.strip()) == (0, said), outcome.err
    found = listed(ran)
    assert [{**entry, "directory": None} for entry in found] == [{**entry, "directory": None} for entry in theirs]
    assert found[0]["directory"] == str(run)
    assert found[1]["directory"] is None


def test_bad_imports_change_nothing(ran: Command, project: Path, tmp_path: Path) -> None:
    (run, _) = listed(ran)
    manifest = json.loads((project / run["directory"] / "manifest.json").read_text())
    texts = {
        "empty.json": b"",
        "other.json": b'{"runs": 3}',
        "newer.json": b'{"schema": 2, "runs": []}',
        "latin.json": '{"runs": "ø"}'.encode("latin-1"),
        "named.json": json.dumps({**manifest, "id": "../../up"}).encode(),
        "timed.json": json.dumps({**manifest, "started": "yesterday"}).encode(),
        "changed.json": json.dumps({**manifest, "seconds": 1e9}).encode(),
        "unknown.json": json.dumps({**manifest, "mood": "good"}).encode(),
    }
    before = contents(project)
    for name, data in texts.items():
        (tmp_path / name).write_bytes(data)
        outcome = ran("history", "import", tmp_path / name)
        assert outcome.code == 2, name
        assert name in outcome.err
        assert "hint: " in outcome.err
    assert "with other figures; nothing was imported" in ran("history", "import", tmp_path / "changed.json").err
    assert ran("history", "import", tmp_path / "gone").code == 2
    assert ran("history", "import", tmp_path).code == 2
    assert contents(project) == before


def test_history_of_a_project_without_runs_says_so(lingolite: Command, project: Path) -> None:
    assert lingolite("history").out == "no runs yet\n"
    assert listed(lingolite) == []
    assert not (project / ".lingolite").exists()
