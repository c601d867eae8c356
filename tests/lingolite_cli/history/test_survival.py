"""The history goes on whatever lies among the runs, and imported runs outlive its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command_line import Outcome, runs

from lingolite_cli.history.fill import HistoryDocument
from lingolite_cli.runs.finished import new_run_name
from tests.lingolite_cli.history.history_entries import SYSTEM, entry

Command = Callable[..., Outcome]


@pytest.fixture
def ran(with_echo: Command, project: Path) -> Path:
    """A project with a run."""
    assert with_echo("run", "recipes/small.toml").code == 0
    return project


def _damaged(manifest: Path, how: str) -> None:
    text = manifest.read_text()
    seconds = json.loads(text)["seconds"]
    changed = {
        "huge": text.replace('"seed": 17', f'"seed": {"9" * 400}').replace(
            '"size_bytes": ', '"size_bytes": 9' + "9" * 40
        ),
        "float": text.replace(str(seconds), "1e999"),
        "deep": "[" * 100_000,
        "late": text.replace('"started": "20', '"started": "99'),
        "zone": text.replace('+00:00"', '"'),
        "name": text.replace('"name": "small"', f'"name": "{"n" * 300}"'),
        "newline": text.replace('"id": "20', '"id": "\\n20'),
    }
    manifest.write_bytes(text.encode("utf-16") if how == "bytes" else changed[how].encode())


@pytest.mark.parametrize("how", ["bytes", "huge", "float", "deep", "late", "zone", "name", "newline"])
def test_manifest_that_is_none_ends_neither_the_history_nor_later_runs(with_echo: Command, ran: Path, how: str) -> None:
    copy = ran / "runs" / "small" / "20200101-000000-abcdef"
    copy.mkdir()
    (copy / "manifest.json").write_bytes((runs(ran)[0] / "manifest.json").read_bytes())
    _damaged(copy / "manifest.json", how)
    for arguments in (("history",), ("history", "--json"), ("run", "recipes/small.toml"), ("history",)):
        outcome = with_echo(*arguments)
        assert outcome.code == 0, (arguments, outcome)
        assert "Traceback" not in outcome.err
    assert len(with_echo("history", "--json").json["runs"]) == 2
    outcome = with_echo("history", "import", copy)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("name", ["99991231-235959-abcdef", "99990101-000000-abcdef", "00010101-000000-abcdef"])
def test_directory_of_a_time_that_no_clock_has_does_not_name_later_runs(
    with_echo: Command, ran: Path, name: str
) -> None:
    (ran / "runs" / "small" / name).mkdir()
    outcome = with_echo("run", "recipes/small.toml")
    assert outcome.code == 0
    assert len(with_echo("history", "--json").json["runs"]) == 2
    newest = max(run.name for run in runs(ran) if run.name != name)
    assert newest.startswith("20")


def test_time_shortly_ahead_still_names_later_runs(tmp_path: Path) -> None:
    from datetime import datetime, timezone

    (tmp_path / "20300101-000000-abcdef").mkdir()
    assert new_run_name(tmp_path, datetime(2026, 1, 1, tzinfo=timezone.utc)).id.startswith("20300101-000001-")


def _document(path: Path, *entries: Any) -> Path:
    path.write_bytes(msgspec.json.encode(HistoryDocument(runs=list(entries))))
    return path


def test_imported_runs_outlive_the_file_of_the_history(with_echo: Command, ran: Path) -> None:
    document = _document(ran / "theirs.json", entry(1), entry(2))
    assert with_echo("history", "import", document).code == 0
    before = with_echo("history", "--json").json
    assert len(before["runs"]) == 3
    (ran / ".lingolite" / "history.sqlite").write_bytes(b"no database" * 1000)
    assert with_echo("history", "--json").json == before
    (ran / ".lingolite" / "history.sqlite").unlink()
    assert with_echo("history", "--json").json == before


def test_runs_that_failed_outlive_it_as_well(with_echo: Command, ran: Path) -> None:
    failing = ("--set", 'baseline.options={ gate = "missing" }')
    assert with_echo("run", "recipes/small.toml", *failing).code != 0
    before = with_echo("history", "--json").json
    assert [run["status"] for run in before["runs"]] == ["done", "failed"]
    (ran / ".lingolite" / "history.sqlite").unlink()
    assert with_echo("history", "--json").json == before


def test_document_with_two_runs_of_one_id_is_refused(with_echo: Command, project: Path) -> None:
    other = msgspec.structs.replace(entry(1), seconds=99.0)
    outcome = with_echo("history", "import", _document(project / "two.json", entry(1), other))
    assert outcome.code == 2
    assert "has two runs" in outcome.err
    assert with_echo("history", "--json").json["runs"] == []
    same = with_echo("history", "import", _document(project / "same.json", entry(1), entry(1)), "--json").json
    assert same == {"imported": [entry(1).id], "known": 0}


def _odd_documents() -> dict[str, bytes]:
    plain = msgspec.to_builtins(HistoryDocument(runs=[entry(1)]))
    (run,) = plain["runs"]
    system = msgspec.to_builtins(SYSTEM)

    def document(**changes: Any) -> bytes:
        return json.dumps({**plain, "runs": [{**run, **changes}]}).encode()

    return {
        "deep": b'{"runs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "deep object": b'{"runs":' + b'{"a":' * 100_000,
        "size": document(systems=[{**system, "size_bytes": 10**40}]),
        "negative": document(threads=-(2**63) - 1),
        "scores": document(systems=[{**system, "scores": system["scores"] * 2}]),
        "systems": document(systems=[system, system]),
        "float": document(seconds=0).replace(b'"seconds": 0', b'"seconds": 1e999'),
        "digits": document(seconds=0).replace(b'"seconds": 0', b'"seconds": ' + b"9" * 10_000),
        "id": document(id="20260101-000001-000001\n"),
        "recipe": document(recipe="n" * 201),
        "time": document(started="9999-12-31T23:59:59-23:59"),
        "surrogate": document(problem="\ud83d"),
        "bytes": b"\xff\xfe{",
        "empty": b"",
    }


@pytest.mark.parametrize("name", list(_odd_documents()))
def test_documents_that_no_person_writes_are_refused(with_echo: Command, project: Path, name: str) -> None:
    path = project / "odd.json"
    path.write_bytes(_odd_documents()[name])
    outcome = with_echo("history", "import", path)
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err
    assert with_echo("history", "--json").json["runs"] == []
