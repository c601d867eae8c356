"""`lingolite translate --out`: shards, interruption, and what becomes of lines that cannot be translated."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, closed_gate, command, contents, echo_length, environment, finished_shards

from lingolite_cli.corpora.artifact import CorpusArtifact, CorpusManifest
from lingolite_cli.files.lock import close_lock, try_lock

Call = Callable[..., Outcome]
WORDS = ("boat", "harbour", "house", "road", "gate", "bread", "cheese", "train", "coast", "rain", "snow")
SPECIAL = "The train to the coast was late again, so they walked home in the rain."
"""Longer than all others: backends can be told to fail at it."""
SPECIAL_INDEX = 14


@pytest.fixture
def text(project: Path) -> Path:
    """23 lines, all different, an empty one among them: six shards of four."""
    lines = [f"The {WORDS[index % 11]} is {WORDS[(index * 3 + 1) % 11]}." for index in range(21)]
    lines.insert(7, "")
    lines.insert(SPECIAL_INDEX, SPECIAL)
    path = project / "text.en"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def length(project: Path) -> int:
    """Tokens of the special line."""
    return echo_length(project, SPECIAL)


def _job(*further: str | Path, out: str = "out") -> list[str | Path]:
    return ["translate", "--file", "text.en", "--out", out, "--backend", "echo", "--shard-lines", "4", *further]


def _manifest(directory: Path) -> CorpusManifest:
    return CorpusArtifact.open(directory, verify=True).manifest


def test_a_text_becomes_a_corpus_in_order_with_scores(with_echo: Call, project: Path, text: Path) -> None:
    done = with_echo(*_job("--workers", "2"))
    assert done.code == 0, done.err
    assert done.out.startswith("out: 23 lines in 6 shards\n")
    corpus = CorpusArtifact.open(project / "out", verify=True)
    lines = list(corpus.lines())
    assert [line.source for line in lines] == text.read_text(encoding="utf-8").splitlines()
    assert [line.target for line in lines] == [line.source for line in lines]
    assert all(line.score is not None for line in lines)
    assert corpus.manifest.languages == ("en", "da")
    assert corpus.manifest.faults == {"copies": 22 - sum(len(line.source.split()) < 4 for line in lines) + 1}
    shards = {f"shards/{number:06d}.jsonl.gz" for number in range(6)}
    assert set(contents(project / "out")) == {".lock", "lingolite.json", *shards}


def test_a_job_that_was_killed_goes_on_and_gives_the_same_bytes(
    with_echo: Call, echo: Path, project: Path, text: Path, length: int
) -> None:
    options = ["--option", "gate=gate", "--option", f"gate_length={length}"]
    with closed_gate(project):
        process = subprocess.Popen(
            command(*_job(*options)), cwd=project, env=environment([echo]), stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert any("waiting at the gate" in line for line in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process.stderr.close()
    assert not (project / "out" / "lingolite.json").exists()
    before = finished_shards(project / "out")
    assert len(before) >= 2  # the third is at most on its way back from the worker
    resumed = with_echo(*_job(*options))
    assert resumed.code == 0, resumed.err
    assert f"; {len(before)} of them were there already" in resumed.out
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert with_echo(*_job(*options, out="unkilled")).code == 0
    assert contents(project / "out") == contents(project / "unkilled")


def test_a_changed_line_costs_one_shard_and_an_unchanged_text_none(with_echo: Call, project: Path, text: Path) -> None:
    with_echo(*_job())
    first = contents(project / "out")
    again = with_echo(*_job())
    assert "; 6 of them were there already" in again.out
    assert contents(project / "out") == first
    text.write_text(text.read_text(encoding="utf-8").replace(SPECIAL, "She reads."), encoding="utf-8")
    changed = with_echo(*_job())
    assert "; 5 of them were there already" in changed.out
    different = {name for name, data in contents(project / "out").items() if data != first[name]}
    assert different == {"lingolite.json", "shards/000003.jsonl.gz"}


def test_a_text_that_became_shorter_leaves_no_shard_behind(with_echo: Call, project: Path, text: Path) -> None:
    with_echo(*_job())
    lines = text.read_text(encoding="utf-8").splitlines(keepends=True)
    text.write_text("".join(lines[:8]), encoding="utf-8")
    assert with_echo(*_job()).out.startswith("out: 8 lines in 2 shards; 2 of them were there already")
    assert len(list((project / "out" / "shards").iterdir())) == 2


@pytest.mark.parametrize("what", ["--batch-size", "--shard-lines", "--max-length"])
def test_another_job_is_not_mixed_in(with_echo: Call, project: Path, text: Path, what: str) -> None:
    with_echo(*_job())
    before = contents(project / "out")
    refused = with_echo(*_job(what, "3"))
    assert refused.code == 2
    assert "has translations of another job" in refused.err
    assert contents(project / "out") == before
    assert with_echo(*_job(what, "3", "--overwrite")).code == 0


def test_a_shard_of_another_job_is_translated_again(with_echo: Call, project: Path, text: Path) -> None:
    with_echo(*_job())
    with_echo(*_job("--option", "skip_every=2", out="other"))
    shard = project / "out" / "shards" / "000001.jsonl.gz"
    whole = shard.read_bytes()
    shard.write_bytes((project / "other" / "shards" / shard.name).read_bytes())
    assert "; 5 of them were there already" in with_echo(*_job()).out
    assert shard.read_bytes() == whole


def test_a_line_that_fails_does_not_harm_others(with_echo: Call, project: Path, text: Path, length: int) -> None:
    done = with_echo(*_job("--option", f"failing_length={length}"))
    assert done.code == 0, done.err
    assert f"line {SPECIAL_INDEX + 1} has no translation: " in done.err
    assert f"a sentence of {length} tokens" in done.err
    lines = list(CorpusArtifact.open(project / "out").lines())
    assert [index for index, line in enumerate(lines) if line.error is not None] == [SPECIAL_INDEX]
    assert [line.target for line in lines].count(None) == 1
    assert _manifest(project / "out").num_failed == 1


def test_a_line_that_ends_its_worker_is_found_and_the_others_go_on(
    with_echo: Call, project: Path, text: Path, length: int
) -> None:
    done = with_echo(*_job("--option", f"fatal_length={length}"))
    assert done.code == 0, done.err
    assert f"line {SPECIAL_INDEX + 1} has no translation: worker 1: its process died" in done.err
    lines = list(CorpusArtifact.open(project / "out").lines())
    assert [index for index, line in enumerate(lines) if line.target is None] == [SPECIAL_INDEX]


def test_a_model_that_translates_nothing_stops_the_job(with_echo: Call, project: Path, text: Path) -> None:
    stopped = with_echo(*_job("--option", "fatal=true"))
    assert stopped.code == 4
    assert "ended their workers, and none was translated" in stopped.err
    assert not (project / "out" / "lingolite.json").exists()


def test_two_processes_do_not_work_in_one_directory(with_echo: Call, project: Path, text: Path) -> None:
    (project / "out").mkdir()
    lock = try_lock(project / "out" / ".lock")
    assert lock is not None
    try:
        refused = with_echo(*_job())
    finally:
        close_lock(lock)
    assert refused.code == 2
    assert "another process translates into out" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "none.en", "--out", "out"], "cannot read none.en: No such file or directory"),
        (["--out", "out"], "--out without --file"),
        (["--file", "text.en", "--shard-lines", "4"], "--shard-lines without --out"),
        (["--file", "text.en", "--out", "model"], "which is read"),
        (["--file", "text.en", "--out", "recipes"], "is not empty, and no translations are in it"),
        (["--file", "text.en", "--out", "text.en"], "which is read"),
        (["--file", "model", "--out", "out"], "model is not a corpus"),
        (["--file", "latin.en", "--out", "out"], "latin.en, line 2: not UTF-8"),
        (["--file", "empty.en", "--out", "out"], "empty.en has no lines"),
        (["--file", "page.html", "--out", "out"], "a document has no lines"),
        (["--file", "text.en", "--out", "out", "--executor", "lokal"], "there is no executor called `lokal`"),
        (["--file", "text.en", "--out", "out", "--compression", "xz"], "--compression xz: unknown"),
        (["--file", "text.en", "--out", "out", "--output", "x"], "--out and --output contradict one another"),
        (["--file", "text.en", "--out", "out", "--option", "speed=2"], "unknown key `speed`"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    with_echo: Call, project: Path, text: Path, arguments: list[str], message: str
) -> None:
    (project / "latin.en").write_bytes(b"one\ncaf\xe9\n")
    (project / "empty.en").touch()
    (project / "page.html").write_text("<html><body><p>One.</p></body></html>", encoding="utf-8")
    before = contents(project)
    refused = with_echo("translate", "--backend", "echo", *arguments)
    assert refused.code == 2, refused.err
    assert message in refused.err
    assert contents(project) == before


def test_a_disk_that_gets_full_stops_the_job_and_what_was_finished_is_kept(
    with_echo: Call, echo: Path, project: Path, text: Path
) -> None:
    resource = pytest.importorskip("resource")
    # The journal is the largest file: it gets full after some shards, in the midst of a line.
    script = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200)); "
    script += "sys.argv[0] = 'lingolite'; runpy.run_module('lingolite_cli', run_name='__main__')"
    assert resource.RLIMIT_FSIZE is not None
    stopped = subprocess.run(
        [sys.executable, "-c", script, *map(str, _job())],
        cwd=project,
        env=environment([echo]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 2, stopped.stderr
    assert "a file would be larger than this process may write" in stopped.stderr
    assert "what was finished is kept" in stopped.stderr
    before = finished_shards(project / "out")
    assert 0 < len(before) < 6
    assert f"; {len(before)} of them were there already" in with_echo(*_job()).out
    assert with_echo(*_job(out="whole")).code == 0
    assert contents(project / "out") == contents(project / "whole")


def test_a_corpus_keeps_where_its_lines_are_from_and_must_be_in_the_language_of_the_model(
    with_echo: Call, project: Path, text: Path
) -> None:
    for language in ("en", "da"):
        made = ["corpus", "import", "text.en", "--languages", language, "--out", language, "--provenance", "news"]
        assert with_echo(*made).code == 0
    job = ["translate", "--out", "out", "--backend", "echo", "--file"]
    assert "da is in `da`, and the model translates from `en`" in with_echo(*job, "da").err
    assert not (project / "out").exists()
    assert with_echo(*job, "en").code == 0
    manifest = _manifest(project / "out")
    assert manifest.provenances == {"news": 23}
    assert manifest.made_by.inputs["source"] == CorpusArtifact.open(project / "en").digest


def test_n_best_translations_are_kept_on_request(with_echo: Call, project: Path, text: Path) -> None:
    done = with_echo(*_job("--beam-size", "3", "--n-best", "2"))
    assert done.code == 0, done.err
    lines = [line for line in CorpusArtifact.open(project / "out").lines() if line.source]
    assert {len(line.alternatives) for line in lines} == {2}
    assert all(line.alternatives[0].text == line.target for line in lines)
