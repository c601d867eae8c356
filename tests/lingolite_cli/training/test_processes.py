"""Processes that torchrun starts train the model that one process trains, and go on when they were killed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Outcome, environment, runs
from safetensors.numpy import load_file

pytestmark = pytest.mark.training

RECIPE = """\
name = "learn"

[inputs]
train = { pairs = "train.tsv" }
dev = { tsv = "train.tsv", languages = ["en", "da"] }

[[steps]]
id = "train"
uses = "train"
languages = ["en", "da"]
dev = "inputs.dev"
metric = "cross-entropy"
scratch = { vocab_size = 290, architecture = { d_model = 32, n_encoder_layers = 1, n_decoder_layers = 1, d_ff = 48 } }

[steps.options]
max_steps = 8
checkpoint_every = 4
batch_tokens = 150
warmup_steps = 2
average = 2
dropout = 0.0
"""


AWARE = """
[[steps]]
id = "int8"
uses = "quantize"
method = "qat-int8"
model = "train"
data = ["inputs.train"]
dev = "inputs.dev"
metric = "cross-entropy"

[steps.options]
max_steps = 200
checkpoint_every = 10
batch_tokens = 150
learning_rate = 1e-3
dropout = 0.3
"""


def make_project(root: Path, text: Path, *, recipe: str = RECIPE) -> Path:
    """A project with the recipe above."""
    root.mkdir()
    shutil.copyfile(text, root / "train.tsv")
    (root / "lingolite.toml").write_text("schema = 1\n")
    (root / "learn.toml").write_text(recipe, encoding="utf-8")
    return root


def in_two_processes(*arguments: str) -> list[str]:
    """The command as torchrun starts it on the CPU."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*launcher, "-m", "lingolite_cli", *arguments]


def torchrun(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in two processes, to its end."""
    return subprocess.run(
        in_two_processes(*arguments),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_agree_with_one_on_the_same_global_batch(
    lingolite: Callable[..., Outcome], tmp_path: Path, parallel_text: Path
) -> None:
    """8 steps of AdamW at rates up to 1e-3 in float32; weights to 1e-6."""
    pair = make_project(tmp_path / "pair", parallel_text)
    alone = make_project(tmp_path / "alone", parallel_text)

    two = torchrun("train", "learn.toml", "--out", "made", cwd=pair)
    one = lingolite("train", "learn.toml", "--out", "made", "--set", "train.options.accumulate=2", cwd=alone)

    assert two.returncode == 0, two.stderr
    assert one.code == 0, one.err
    first, second = (load_file(root / "made" / "model.safetensors") for root in (pair, alone))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        np.testing.assert_allclose(weight, second[name], atol=1e-6, rtol=0, err_msg=name)
    assert two.stdout.count("ended by max_steps") == 1
    assert len(runs(pair, "learn")) == 1


def workers_of(launcher: subprocess.Popen[str]) -> list[int]:
    """The processes that a launcher has started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_two_processes_killed_and_resumed_end_in_the_same_bits(tmp_path: Path, parallel_text: Path) -> None:
    """Pre-training and then QAT, killed in the middle of the latter, with dropout, against the same without a break."""
    broken = make_project(tmp_path / "broken", parallel_text, recipe=RECIPE + AWARE)
    whole = make_project(tmp_path / "whole", parallel_text, recipe=RECIPE + AWARE)
    process = subprocess.Popen(
        in_two_processes("train", "learn.toml"),
        cwd=broken,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "int8: step 20 of " in line:
            workers = workers_of(process)  # each in a session of its own: they outlive their launcher
            for number in (process.pid, *workers):
                os.kill(number, signal.SIGKILL)
            break
    process.wait(timeout=60)
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    assert not (broken / "runs").exists()

    resumed = torchrun("train", "learn.toml", "--out", "made", cwd=broken)
    uninterrupted = torchrun("train", "learn.toml", "--out", "made", cwd=whole)

    assert resumed.returncode == 0, resumed.stderr
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    assert "train: cached" in resumed.stderr
    assert "int8: step 10 of " not in resumed.stderr
    assert "int8: step 200 of " in resumed.stderr
    bundles = [root / "made" / "model.safetensors" for root in (broken, whole)]
    assert bundles[0].read_bytes() == bundles[1].read_bytes()


def on_two_nodes(node: int, port: int, *arguments: str) -> list[str]:
    """One node's launcher, as docs/training.md writes it for several machines, with one process on the CPU."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "learn"]
    launcher += ["--rdzv-conf", f"is_host={int(node == 0)}", "--local-addr", "localhost", "--max-restarts", "3"]
    return [*launcher, "-m", "lingolite_cli", *arguments]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_worker_that_is_killed_restarts_on_both_nodes_from_the_checkpoint(
    tmp_path: Path, parallel_text: Path
) -> None:
    """Two nodes of one machine that share a directory; the process of the second is killed in the middle of QAT."""
    broken = make_project(tmp_path / "broken", parallel_text, recipe=RECIPE + AWARE)
    whole = make_project(tmp_path / "whole", parallel_text, recipe=RECIPE + AWARE)
    port = free_port()
    reading, writing = os.pipe()  # of both launchers: the rendezvous decides which of them has process 0
    launchers = [
        subprocess.Popen(
            on_two_nodes(node, port, "train", "learn.toml", "--out", "made"),
            cwd=broken,
            env=environment(),
            stderr=writing,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for node in range(2)
    ]
    os.close(writing)
    seen, is_killed = [], False
    with open(reading, encoding="utf-8") as errors:
        for line in errors:
            seen.append(line)
            if "int8: step 20 of " in line and not is_killed:
                os.kill(workers_of(launchers[1])[0], signal.SIGKILL)
                is_killed = True
    codes = [launcher.wait(timeout=120) for launcher in launchers]

    uninterrupted = torchrun("train", "learn.toml", "--out", "made", cwd=whole)

    assert is_killed, "".join(seen)
    assert codes == [0, 0], "".join(seen)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    bundles = [root / "made" / "model.safetensors" for root in (broken, whole)]
    assert bundles[0].read_bytes() == bundles[1].read_bytes()


@pytest.mark.slow
def test_processes_that_share_no_directory_are_refused(tmp_path: Path, parallel_text: Path) -> None:
    project = make_project(tmp_path / "apart", parallel_text)
    (project / "start.py").write_text(
        "import os\n"
        "os.environ['LINGOLITE_CACHE'] = 'cache' + os.environ['RANK']\n"
        "from lingolite_cli.app import main\n"
        "main()\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    outcome = subprocess.run(
        [*launcher, "start.py", "train", "learn.toml"],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert outcome.returncode != 0
    assert "process 1 does not see the directory" in outcome.stderr
    assert "--cache" in outcome.stderr
    assert not (project / "runs").exists()


def test_a_recipe_is_not_run_by_several_processes(
    lingolite: Callable[..., Outcome], tmp_path: Path, parallel_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "alone", parallel_text)
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = lingolite("run", "learn.toml", cwd=project)
    assert outcome.code == 2
    assert "a recipe is run by one process" in outcome.err
    outcome = lingolite("quantize", "--model", "nowhere", "--out", "made", cwd=project)
    assert outcome.code == 2
    assert "`quantize` runs in one process" in outcome.err
