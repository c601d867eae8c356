"""The quantizer `gptq-int4` on a whole model: what it refuses, and that it leaves less error than `int4`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from command_line import Outcome, contents

from lingolite_cli import load_bundle
from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.testing import SENTENCES
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.tiny import IDS

Command = Callable[..., Outcome]


def encoded(path: Path, sources: list[list[int]]) -> np.ndarray:
    """What the encoder makes of real source tokens."""
    ids, mask = (torch.from_numpy(array) for array in pad(sources, IDS.pad))
    with torch.inference_mode():
        return load_bundle(path).encoder(ids, mask)[mask].numpy()


def test_it_leaves_less_error_than_rounding_to_the_nearest(lingolite: Command, project: Path) -> None:
    (project / "calib.en").write_text("".join(f"{sentence}\n" for sentence in SENTENCES), encoding="utf-8")
    options = ("--option", "embedding_bits=8")
    assert lingolite("quantize", "--method", "int4", *options, "--out", "nearest").code == 0
    outcome = lingolite("quantize", "--method", "gptq-int4", "--calibration", "calib.en", *options, "--out", "gptq")
    assert outcome.code == 0, outcome.err
    made = Artifact.open(project / "gptq")
    assert made.manifest.details == {"calibration": {"num_samples": len(SENTENCES), "languages": ["en", "da"]}}
    assert made.size_bytes == Artifact.open(project / "nearest").size_bytes
    sources = framed_sources(made)
    expected = encoded(project / "model", sources)
    errors = [np.square(encoded(project / name, sources) - expected).mean() for name in ("gptq", "nearest")]
    assert 0 < errors[0] < errors[1]


def test_a_group_that_divides_no_row_is_refused(lingolite: Command, project: Path) -> None:
    before = contents(project)
    arguments = ("--calibration", "test.tsv", "--option", "group_size=128", "--out", "made")
    outcome = lingolite("quantize", "--method", "gptq-int4", *arguments)
    assert outcome.code == 2
    assert "cannot quantize `" in outcome.err
    assert "groups of 128 do not divide its rows of 32 elements" in outcome.err
    after = {name: data for name, data in contents(project).items() if not name.startswith(".lingolite/")}
    assert after == before
