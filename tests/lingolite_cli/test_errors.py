"""Exit codes of the real command, and the form of its messages."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, command, contents, environment, run_command

from lingolite_cli import __version__
from lingolite_cli.errors import ExitCode, LingoLiteError, did_you_mean, engine_failures, out_of_memory


def test_exit_codes_are_the_documented_ones() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "BUG": 1,
        "BAD_INPUT": 2,
        "BUDGET_BROKEN": 3,
        "PLUGIN": 4,
        "INTERRUPTED": 130,
    }


def test_a_hint_names_the_nearest_or_all_or_none() -> None:
    assert did_you_mean("evalute", ["evaluate", "export"]) == "did you mean `evaluate`?"
    assert did_you_mean("xyz", ["b", "a"]) == "known: a, b"
    assert did_you_mean("xyz", []) == "none are known"


def test_bad_input_exits_2_with_what_where_and_a_hint(lingolite: Callable[..., Outcome]) -> None:
    outcome = lingolite("run", "recipes/smal.toml")
    assert outcome == Outcome(
        2, "", "error: no such file: recipes/smal.toml\n\nhint: did you mean `recipes/small.toml`?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "error: no such command `frobnicate`"),
        (["run"], "error: missing argument `RECIPE`"),
        (
            ["run", "recipes/small.toml", "--frsh"],
            "error: no such option: --frsh\n\nhint: did you mean `--fresh`? Or see",
        ),
        (["eval", "--batch-size", "0"], "error: invalid value for `--batch-size`"),
        (["translate", "--max-length", "many"], "error: invalid value for `--max-length`"),
        ([], "Usage: lingolite"),
    ],
    ids=["command", "argument", "option", "range", "type", "nothing"],
)
def test_wrong_usage_exits_2(lingolite: Callable[..., Outcome], arguments: list[str], message: str) -> None:
    outcome = lingolite(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err
    assert "see `lingolite" in outcome.err or "Usage:" in message
    assert "bug" not in outcome.err


def test_an_error_shows_its_traceback_only_when_verbose(lingolite: Callable[..., Outcome]) -> None:
    quiet, verbose = lingolite("run", "none.toml"), lingolite("-v", "run", "none.toml")
    assert quiet.code == verbose.code == 2
    assert "Traceback" not in quiet.err
    assert "Traceback" in verbose.err
    assert verbose.err.endswith(quiet.err)


def test_a_bug_exits_1_with_its_traceback(lingolite: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def find_project() -> None:
        raise IndexError("nobody thought of this")

    monkeypatch.setattr("lingolite_cli.jobs.context.find_project", find_project)
    outcome = lingolite("plugins", "list")
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert outcome.err.endswith(
        "error: this is a bug in lingolite: IndexError('nobody thought of this')\n\n"
        "hint: please report it with the lines above\n"
    )


def test_the_exit_code_of_an_error_is_the_commands(
    lingolite: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_project() -> None:
        raise LingoLiteError("an engine is gone", exit_code=ExitCode.PLUGIN)

    monkeypatch.setattr("lingolite_cli.jobs.context.find_project", find_project)
    assert lingolite("plugins", "list") == Outcome(4, "", "error: an engine is gone\n")


def test_a_reader_that_goes_away_is_no_error(project: Path) -> None:
    """As `lingolite translate | head -1`: a closed pipe ends the command without a word."""
    process = subprocess.Popen(
        command("--help"), cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_reader_that_goes_away_ends_a_stream_of_translations(project: Path, echo: Path) -> None:
    process = subprocess.Popen(
        command("translate", "--batch-size", "1"),
        cwd=project,
        env=environment([echo]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdin, process.stderr:
        process.stdin.write(b"She reads.\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"She reads.\n"
        process.stdout.close()
        process.stdin.write(b"The boat.\n")
        process.stdin.flush()
        assert process.stderr.read() == b""
    assert process.wait() == 0


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(project: Path) -> None:
    """A limit on the size of files stands in for the disk: the system refuses the write in the same way."""
    (project / "lingolite.toml").write_text('schema = 1\nmodel = "model"\nthreads = 1\n')
    before = contents(project)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        command("quantize", "--out", "small"),
        cwd=project,
        env=environment(),
        preexec_fn=limit,
        capture_output=True,
        timeout=120,
        check=False,
    )
    error = done.stderr.decode()
    assert done.returncode == 2, error
    assert "a file would be larger than this process may write (`ulimit -f`)" in error
    assert "hint: raise the limit, then run the same command again" in error
    assert "Traceback" not in error
    assert contents(project) == before


def test_text_is_utf_8_whatever_the_locale(project: Path, echo: Path) -> None:
    latin = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    outcome = run_command(
        "translate", cwd=project, plugins=[echo], stdin="Nothing is as quiet as snø → sne\n".encode(), variables=latin
    )
    assert (outcome.code, outcome.out) == (0, "Nothing is as quiet as snø → sne\n"), outcome.err


def test_the_version_needs_no_command(lingolite: Callable[..., Outcome]) -> None:
    assert lingolite("--version") == Outcome(0, f"lingolite {__version__}\n", "")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried to …"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=["python", "system", "torch", "c++", "import"],
)
def test_memory_that_ran_out_is_said_as_such_whoever_says_it(error: Exception) -> None:
    found = out_of_memory(error)
    assert found is not None
    assert "memory ran out" in found.message
    with pytest.raises(LingoLiteError, match="memory ran out"), engine_failures("the engine failed"):
        raise error


def test_memory_that_ran_out_is_seen_behind_another_error() -> None:
    shown = ValueError("cannot be loaded")
    shown.__cause__ = MemoryError()
    assert out_of_memory(shown) is not None
    assert out_of_memory(ValueError("another thing")) is None


def test_what_an_engine_raises_is_told_in_one_line() -> None:
    with pytest.raises(LingoLiteError, match="backend `x` cannot open y: KeyError: 'z'") as caught:
        with engine_failures("backend `x` cannot open y"):
            raise KeyError("z")
    assert caught.value.exit_code == ExitCode.PLUGIN
    with pytest.raises(LingoLiteError, match="its own words"), engine_failures("the engine failed"):
        raise LingoLiteError("its own words")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process so")
def test_a_machine_with_too_little_memory_for_pytorch_is_told_so_and_not_to_install_it() -> None:
    starter = Path(__file__).parents[2] / "recipes" / "starter-en-da" / "model"
    limit = 400 << 20
    found = subprocess.run(
        command("translate", "--backend", "cached", "--model", starter, "Open"),
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "error: memory ran out" in found.stderr
    assert "pip install" not in found.stderr
    assert "bug" not in found.stderr


def test_working_directory_that_was_removed_is_told(tmp_path: Path) -> None:
    """Every command looks for the project there."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$PWD"; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command("history")],
        cwd=gone,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done
    assert "the working directory was removed" in done.stderr
    assert "Traceback" not in done.stderr
