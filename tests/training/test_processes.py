"""Processes that torchrun starts train the model that one process trains."""

from __future__ import annotations

import shutil
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


def make_project(root: Path, text: Path) -> Path:
    """A project with the recipe above."""
    root.mkdir()
    shutil.copyfile(text, root / "train.tsv")
    (root / "lingolite.toml").write_text("schema = 1\n")
    (root / "learn.toml").write_text(RECIPE, encoding="utf-8")
    return root


def torchrun(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in two processes on the CPU."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launcher, "-m", "lingolite_cli", *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
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


def test_a_recipe_is_not_run_by_several_processes(
    lingolite: Callable[..., Outcome], tmp_path: Path, parallel_text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "alone", parallel_text)
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = lingolite("run", "learn.toml", cwd=project)
    assert outcome.code == 2
    assert "a recipe is run by one process" in outcome.err
