"""Where commands write: pipes, devices and links stay what they are, and nothing that is read is written over."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, command, contents, environment

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic

Command = Callable[..., Outcome]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "old.json").write_bytes(b"old")
    (tmp_path / "link.json").symlink_to("real/old.json")
    (tmp_path / "dangling.json").symlink_to("real/new.json")
    write_atomic(tmp_path / "link.json", b"new")
    write_atomic(tmp_path / "dangling.json", b"made")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "dangling.json").is_symlink()
    assert contents(tmp_path / "real") == {"old.json": b"new", "new.json": b"made"}


def test_a_pipe_gets_the_bytes_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write_atomic(pipe, b"x" * 100_000)
        assert reader.stdout is not None
        assert reader.stdout.read() == b"x" * 100_000
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_loop_of_links_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LingoLiteError, match="cannot write"):
        write_atomic(tmp_path / "a", b"")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="the system has no /dev/fd")
def test_a_descriptor_is_written_through_even_where_it_is_a_file(project: Path, echo: Path) -> None:
    """A shell that opened the file goes on writing to it: a rename would put another in its place."""
    with (project / "all.txt").open("wb") as all_of_it:
        all_of_it.write(b"before\n")
        all_of_it.flush()
        process = subprocess.run(
            command("eval", "--backend", "echo", "--output", "/dev/stdout"),
            cwd=project,
            env=environment([echo]),
            stdout=all_of_it,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        all_of_it.write(b"after\n")
    text = (project / "all.txt").read_text(encoding="utf-8")
    assert text.startswith('before\n{\n  "')
    assert text.endswith("after\n")


def test_devices_stay_and_get_what_is_written(with_echo: Command) -> None:
    before = os.stat("/dev/null")
    outcome = with_echo("eval", "--output", "/dev/null", "--save-translations", "/dev/null")
    assert outcome.code == 0, outcome.err
    assert os.stat("/dev/null") == before


@pytest.mark.parametrize("spelling", ["test.tsv", "recipes/../test.tsv", "link.tsv", "hard.tsv"])
@pytest.mark.parametrize("flag", ["--output", "--save-translations"])
def test_an_output_that_is_an_input_is_refused_before_work(
    with_echo: Command, project: Path, flag: str, spelling: str
) -> None:
    (project / "link.tsv").symlink_to("test.tsv")
    (project / "hard.tsv").hardlink_to(project / "test.tsv")
    before = contents(project)
    outcome = with_echo("eval", flag, spelling)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {flag} {spelling} would be written over ")
    assert outcome.err.endswith("test.tsv, which is read\n\nhint: choose another place\n")
    assert contents(project) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "--output", "model/lingolite.json"],
        ["eval", "--source", "a.en", "--target", "a.da", "--output", "a.da"],
        ["eval", "--output", "same.json", "--save-translations", "./same.json"],
        ["quantize", "--method", "fp16", "--out", "model", "--overwrite"],
        ["quantize", "--method", "fp16", "--out", "link", "--overwrite"],
        ["quantize", "--method", "fp16", "--out", "model/small"],
        ["quantize", "--method", "compare", "--out", "model"],
        ["export", "--out", "model", "--overwrite"],
        ["shortlist", "--text", "test.tsv", "--out", "test.tsv", "--overwrite"],
        ["bench", "--source", "plot.svg", "--plot", "plot.svg"],
    ],
    ids=" ".join,
)
def test_no_command_writes_over_what_it_reads(with_echo: Command, project: Path, arguments: list[str]) -> None:
    for name in ("a.en", "a.da", "plot.svg"):
        (project / name).write_text("The boat.\n")
    (project / "link").symlink_to("model")
    before = contents(project)
    outcome = with_echo(*arguments)
    assert outcome.code == 2, outcome.out
    assert "which is read" in outcome.err or "would be written over" in outcome.err
    assert contents(project) == before


def test_a_terminal_or_a_device_may_be_read_and_written(with_echo: Command, project: Path) -> None:
    outcome = with_echo("eval", "--source", "/dev/null", "--output", "/dev/null")
    assert "which is read" not in outcome.err


def test_results_follow_a_link(with_echo: Command, project: Path) -> None:
    (project / "results").mkdir()
    (project / "latest.json").symlink_to("results/first.json")
    assert with_echo("eval", "--output", "latest.json").code == 0
    assert (project / "latest.json").is_symlink()
    assert "bleu" in json.loads((project / "results" / "first.json").read_bytes())


def test_artifacts_follow_a_link(with_echo: Command, project: Path) -> None:
    (project / "models").mkdir()
    (project / "latest").symlink_to("models/first")
    for flags in ((), ("--overwrite",)):
        outcome = with_echo("quantize", "--method", "fp16", "--out", "latest", *flags)
        assert outcome.code == 0, outcome.err
        assert (project / "latest").is_symlink()
        assert Artifact.open(project / "models" / "first").manifest.format == "bundle-fp16"
    again = with_echo("quantize", "--method", "fp16", "--out", "latest")
    assert (again.code, again.err.split("\n")[0]) == (2, "error: latest exists")


@pytest.mark.parametrize(
    "arguments",
    [
        ("translate", "--file", "sources.txt", "--output", "out.gz"),
        ("eval", "--save-translations", "out.gz"),
    ],
    ids=["translate", "eval"],
)
def test_a_name_that_promises_a_packed_file_is_refused(
    lingolite: Command, project: Path, arguments: tuple[str, ...]
) -> None:
    (project / "sources.txt").write_text("She reads.\n", encoding="utf-8")
    before = contents(project)
    outcome = lingolite(*arguments)
    assert outcome.code == 2
    assert "out.gz: .gz is not written\n\nhint: name a plain file, and pack it" in outcome.err
    assert contents(project) == before
