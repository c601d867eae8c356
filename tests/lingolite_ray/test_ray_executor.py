"""The executor `ray`, with Ray started on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import Outcome, contents

from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.executors import Answer, Work
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import SENTENCES, ExecutorContract

pytestmark = [pytest.mark.ray]
pytest.importorskip("ray")

Call = Callable[..., Outcome]


class TestRay(ExecutorContract):
    plugin = "ray"


@pytest.fixture
def text(project: Path) -> Path:
    """28 lines."""
    path = project / "text.en"
    path.write_text("".join(f"{line} {number}\n" for number in range(4) for line in SENTENCES), encoding="utf-8")
    return path


def _job(out: str, *further: str) -> list[str]:
    job = ["translate", "--file", "text.en", "--out", out, "--backend", "onnx", "--shard-lines", "4"]
    return [*job, "--workers", "2", *further]


def test_actors_give_the_bytes_that_processes_give(lingolite: Call, project: Path, text: Path) -> None:
    for out, executor in (("here", "local"), ("there", "ray")):
        done = lingolite(*_job(out, "--executor", executor))
        assert done.code == 0, done.err
    assert contents(project / "here") == contents(project / "there")
    assert CorpusArtifact.open(project / "there", verify=True).manifest.num_lines == 28


def test_an_actor_that_is_killed_has_a_successor_and_no_answer_is_lost(tmp_path: Path) -> None:
    work = Work(handler="lingolite_cli.testing.executor_contract:ContractHandler", setup=b"> ")
    executor = load_registry().resolve("executor", "ray").create(work, options={}, num_workers=2)
    killed: list[int] = []

    def requests() -> Iterator[bytes]:
        for number in range(30):
            if number == 15:
                killed.append(_an_actor())
                os.kill(killed[0], signal.SIGKILL)
            yield f"echo {number}".encode()

    try:
        answers: list[Answer] = list(executor.answers(requests()))
    finally:
        executor.close()
    assert killed
    assert {answer.position: answer.content for answer in answers} == {
        number: f"> echo {number}".encode() for number in range(30)
    }


def _an_actor() -> int:
    """The process id of an actor of this process's own cluster: a descendant of it."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _name(int(entry.name)).startswith("ray::HandlerActor"):
            parent = int(entry.name)
            while parent not in (0, 1, os.getpid()):
                parent = int(Path(f"/proc/{parent}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            if parent == os.getpid():
                return int(entry.name)
    raise AssertionError("no actor is there")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:9", "the Ray cluster at 127.0.0.1:9 cannot be reached: Connection refused"),
        ("nowhere", "address nowhere: expected a host and a port"),
        ("a:b", "address a:b"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_told_and_nothing_is_written(
    lingolite: Call, project: Path, text: Path, address: str, message: str
) -> None:
    refused = lingolite(*_job("out", "--executor", "ray", "--option", f"address={address}"))
    assert refused.code == 2
    assert message in refused.err
    assert not (project / "out").exists()


def test_more_workers_than_the_cluster_has_processors_are_refused(tmp_path: Path) -> None:
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    try:
        work = Work(handler="lingolite_cli.testing.executor_contract:ContractHandler", setup=b"")
        with pytest.raises(LingoLiteError, match="2 workers with 1 threads need 2 processors, and Ray has 1"):
            load_registry().resolve("executor", "ray").create(work, options={}, num_workers=2)
        assert ray.is_initialized()  # what the program itself had started goes on
    finally:
        ray.shutdown()
