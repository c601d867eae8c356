"""Several workers as one backend: the same tokens in the same order, and nobody outlives the pool."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import Outcome, command, environment, hear_interruptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import WINDOW_BATCHES, Translation, Translator
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import SENTENCES
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.workers.pool import OpenedBackend, WorkerPool, open_backend

Command = Callable[..., Outcome]

TEXTS = [f"{sentence} {number}" for number in range(12) for sentence in SENTENCES]


@pytest.fixture
def with_plugin(echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process and its workers find the distribution `lingolite-echo`."""
    monkeypatch.syspath_prepend(str(echo))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(echo), os.environ.get("PYTHONPATH", "")]))


def served(artifact: Artifact, *, workers: int, backend: str = "echo", **options: object) -> OpenedBackend:
    loaded = load_registry().resolve("backend", backend)
    return open_backend(loaded, artifact, options=options, threads=1, workers=workers)


def translator(artifact: Artifact, made: OpenedBackend, **settings: int) -> Translator:
    tokenizer, model = open_tokenizer(artifact), artifact.manifest.model
    settings = {"batch_size": 2, **settings}
    options = DecodingOptions(max_length=30)
    return Translator(
        made.backend, tokenizer, model, ("en", "da"), options=options, capabilities=made.capabilities, **settings
    )


@pytest.fixture
def pool(tiny: Artifact, with_plugin: None) -> Iterator[WorkerPool]:
    """Two workers with the backend that repeats its source."""
    made = served(tiny, workers=2).backend
    yield made
    made.close()


def pids_of(pool: WorkerPool) -> list[int]:
    return [place.child._process.pid for place in pool._places]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("batch_size", [1, 2])
def test_translations_are_those_of_one_worker_in_the_order_of_their_texts(
    tiny: Artifact, pool: WorkerPool, batch_size: int
) -> None:
    texts = ["", *TEXTS, "  "]
    assert len(texts) > 2 * WINDOW_BATCHES * batch_size, "several windows"
    alone = served(tiny, workers=1)
    expected = list(translator(tiny, alone, batch_size=batch_size).translate(texts))
    shared = OpenedBackend(pool, frozenset({"submit"}))
    found: list[Translation] = list(translator(tiny, shared, batch_size=batch_size).translate(texts))
    assert [each.tokens for each in found] == [each.tokens for each in expected]
    assert [each.text for each in found] == [each.text for each in expected]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected])


def test_all_workers_work(tiny: Artifact, pool: WorkerPool) -> None:
    list(translator(tiny, OpenedBackend(pool, frozenset({"submit"}))).translate(TEXTS))
    assert sum(place.has_worked for place in pool._places) == 2
    peak = pool.peak_memory_mb
    assert peak is not None
    assert peak > sum(place.peak_memory_mb or 0 for place in pool._places)


def test_an_endless_text_is_read_as_far_as_the_workers_need(tiny: Artifact, pool: WorkerPool) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield SENTENCES[read % len(SENTENCES)]

    stream = translator(tiny, OpenedBackend(pool, frozenset({"submit"}))).translate(endless())
    assert next(stream).text == SENTENCES[1]
    assert read <= 2 * WINDOW_BATCHES * 2
    stream.close()


@pytest.mark.usefixtures("with_plugin")
def test_a_wrong_option_is_refused_before_a_process_is_made(tiny: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(LingoLiteError, match="options of backend `echo`: unknown key `skip` = 1"):
        served(tiny, workers=2, skip=1)
    with pytest.raises(LingoLiteError, match="workers must be from 1 to 256, not 0"):
        served(tiny, workers=0)


@pytest.mark.usefixtures("with_plugin")
def test_a_worker_that_cannot_open_says_why_and_ends_the_others(
    tiny: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[list[int]] = []
    close = WorkerPool.close
    monkeypatch.setattr(WorkerPool, "close", lambda pool: (closed.append(pids_of(pool)), close(pool)))
    with pytest.raises(LingoLiteError, match=r"worker 1: backend `echo` cannot open .*: FileNotFoundError") as error:
        served(tiny, workers=2, gate="no such file")
    assert error.value.exit_code == ExitCode.PLUGIN
    assert len(closed[0]) == 2
    assert not any(map(is_running, closed[0]))


def test_a_worker_that_dies_is_replaced_and_its_batches_are_repeated(tiny: Artifact, pool: WorkerPool) -> None:
    made = OpenedBackend(pool, frozenset({"submit"}))
    expected = list(translator(tiny, made).translate(TEXTS * 20))
    before = pids_of(pool)
    stream = translator(tiny, made).translate(TEXTS * 20)
    found = [next(stream)]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert [*found, *stream] == expected
    assert not set(before) & set(pids_of(pool))
    assert not any(map(is_running, before))


@pytest.mark.usefixtures("with_plugin")
def test_a_batch_that_ends_two_workers_is_an_error_of_its_own(tiny: Artifact) -> None:
    pool = served(tiny, workers=2, fatal=True).backend
    try:
        with pytest.raises(LingoLiteError, match=r"worker [12]: its process died with exit code -9") as error:
            list(translator(tiny, OpenedBackend(pool, frozenset({"submit"}))).translate(TEXTS))
        assert "want of memory" in (error.value.hint or "")
    finally:
        pool.close()


def test_a_worker_has_its_next_batch_before_it_is_done(tiny: Artifact, pool: WorkerPool) -> None:
    """One worker stands still: of four batches it holds two, and the other does its own."""
    stopped, running = pool._places
    os.kill(stopped.child._process.pid, signal.SIGSTOP)
    source = open_tokenizer(tiny).encode_source(SENTENCES[0], ("en", "da"), max_length=30).ids
    batch = np.array([source]), np.ones((1, len(source)), dtype=bool)
    first, second, third, fourth = [pool.submit(*batch, DecodingOptions(max_length=30), IDS) for _ in range(4)]
    assert [len(future.result(timeout=60)) for future in (second, third)] == [1, 1]
    assert not first.done()
    assert not fourth.done()
    assert (stopped.has_worked, running.has_worked) == (False, True)
    os.kill(stopped.child._process.pid, signal.SIGCONT)
    found = [future.result(timeout=60) for future in (first, second, third, fourth)]
    assert found == [found[0]] * 4


def test_a_pool_ends_with_its_workers_whatever_is_queued(tiny: Artifact, pool: WorkerPool) -> None:
    stream = translator(tiny, OpenedBackend(pool, frozenset({"submit"}))).translate(TEXTS * 20)
    next(stream)
    pids = pids_of(pool)
    assert all(map(is_running, pids))
    pool.close()
    assert not any(map(is_running, pids))


@pytest.mark.parametrize("is_opening", [True, False], ids=["opening", "translating"])
def test_ctrl_c_ends_the_workers_in_silence(project: Path, echo: Path, is_opening: bool) -> None:
    """Workers wait at the gate, or there is far more text than is translated while two lines are read."""
    (project / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS * 500))
    gate = project / "gate"
    os.mkfifo(gate) if is_opening else gate.touch()
    process = subprocess.Popen(
        command("translate", "--workers", "2", "--option", "gate=gate", "--file", "in.txt"),
        cwd=project,
        env=environment([echo]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interruptions,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    with process:
        assert process.stderr.readline() == "waiting at the gate\n"
        lines = [] if is_opening else [process.stdout.readline() for _ in range(2)]
        os.killpg(process.pid, signal.SIGINT)
        # Not `communicate`, which passes over what `readline` has read ahead.
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert err.replace("waiting at the gate\n", "") == "interrupted; finished steps are kept\n"
    written = "".join(lines) + out
    assert f"{written}\n".splitlines()[:-1] == (TEXTS * 500)[: written.count("\n")]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_workers_are_an_option_of_translate_and_eval(with_echo: Command, project: Path) -> None:
    (project / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    alone = with_echo("translate", "--file", "in.txt", "--batch-size", "4")
    assert with_echo("translate", "--file", "in.txt", "--batch-size", "4", "--workers", "2") == alone
    assert alone.out.splitlines() == TEXTS
    shared = with_echo("eval", "--workers", "2", "--batch-size", "3", "--json")
    assert shared.code == 0, shared.err
    again = with_echo("eval", "--batch-size", "3", "--json")
    assert again.json == {**shared.json, "status": "cached"}, "workers change no result"


def test_lines_that_are_typed_in_are_for_one_worker(project: Path, echo: Path) -> None:
    terminal, typed = pty.openpty()
    done = subprocess.run(
        command("translate", "--workers", "2"),
        cwd=project,
        env=environment([echo]),
        stdin=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    os.close(typed)
    os.close(terminal)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--workers 2: workers read ahead, and lines that are typed in are answered one by one" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_is_refused_the_pool_and_leaves_its_workers_alone(tiny: Artifact, pool: WorkerPool) -> None:
    """Two processes on one pipe would read each other's answers."""
    shared = translator(tiny, OpenedBackend(pool, frozenset({"submit"})))
    before = list(shared.translate(TEXTS[:4]))
    child = os.fork()
    if not child:
        signal.alarm(30)
        code = 1
        try:
            try:
                list(shared.translate(TEXTS[:4]))
            except LingoLiteError as error:
                code = 0 if "before this process was forked" in error.message else 2
            pool.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all(is_running(pid) for pid in pids_of(pool))
    assert list(shared.translate(TEXTS[:4])) == before
