"""Processes that torchrun starts train the model that one process trains, and go on when they were killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Outcome, environment, runs
from safetensors.numpy import load_file

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
max_steps = 40
checkpoint_every = 2
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


@pytest.mark.slow
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
        start_new_session=True,  # so that the launcher and both processes die together
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "int8: step 4 of " in line:
            os.killpg(process.pid, signal.SIGKILL)
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
    assert "int8: step 2 of " not in resumed.stderr
    assert "int8: step 40 of " in resumed.stderr
    bundles = [root / "made" / "model.safetensors" for root in (broken, whole)]
    assert bundles[0].read_bytes() == bundles[1].read_bytes()


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
