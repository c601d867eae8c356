"""Checks of the decoders over candidate tokens: with the whole vocabulary as candidates they compute what the other
decoders do.

B batch, T target, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.artifact import SHORTLIST_NAME
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.shortlist.candidates import CandidateChooser
from lingolite_cli.shortlist.shortlist import NO_TOKEN, Shortlist, read_shortlist
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.comparison import TOLERANCE, require_finite_logits
from lingolite_onnx.checks.samples import Sample
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.ort.interface import DECODER, SHORTLIST_BATCH_DECODER, SHORTLIST_DECODER
from lingolite_onnx.ort.runner import MANY_WIDE_ROWS, OrtRunner
from lingolite_onnx.session.saturation import int8_is_exact

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray
    from lingolite_onnx.profiles import GraphSettings

_ROUNDED_TOLERANCE = 0.1
"""As `TOLERANCE` where the other decoder rounds activations before the projection, and this one does not."""


def check_shortlist_graphs(
    weights: Weights, directory: Path, sample: Sample, settings: GraphSettings
) -> tuple[GraphCheck, ...]:
    """Run the decoders over candidate tokens on a few rows, and on many where there is one for these.

    Raises:
        LingoLiteError: logits are not finite, or differ from those of the decoder without a shortlist by more than
            rounding explains, when `settings.test` asks for that.
    """
    everything = _everything(read_shortlist(directory / SHORTLIST_NAME))
    rows = {"optimized shortlist": 1}
    if (directory / SHORTLIST_BATCH_DECODER).is_file():
        rows["optimized shortlist batch"] = MANY_WIDE_ROWS
    checks = []
    for graph, copies in rows.items():
        expected = run_ort_decoder(weights, directory, sample, max_seq_len=settings.max_seq_len, copies=copies)
        found = run_ort_decoder(
            weights, directory, sample, max_seq_len=settings.max_seq_len, copies=copies, shortlist=everything
        )
        check = msgspec.convert({"graph": graph, "checked_by": ("onnxruntime",)}, GraphCheck)
        checks.append(_compare(weights, check, found, expected) if settings.test else check)
    return tuple(checks)


def run_ort_decoder(
    weights: Weights,
    directory: Path,
    sample: Sample,
    *,
    max_seq_len: int,
    copies: int = 1,
    shortlist: Shortlist | None = None,
) -> FloatArray:
    """[copies · B, T, V] finite logits of a sample, as the backend computes them.

    Raises:
        LingoLiteError: they are not finite.
    """
    runner = OrtRunner(
        directory,
        weights.config,
        max_seq_len=max_seq_len,
        threads=1,
        entries=int8_is_exact(1).entries,
        chooser=CandidateChooser(shortlist) if shortlist else None,
    )
    state = runner.encode(np.tile(sample.source_ids, (copies, 1)), np.tile(sample.source_mask, (copies, 1)))
    targets = np.tile(sample.target_ids, (copies, 1))
    logits = np.stack([runner.step(state, tokens).copy() for tokens in np.ascontiguousarray(targets.T)], axis=1)
    runner.close()
    require_finite_logits(logits, SHORTLIST_DECODER if shortlist else DECODER)
    return logits


def _everything(shortlist: Shortlist) -> Shortlist:
    """A shortlist of the whole vocabulary."""
    return msgspec.structs.replace(
        shortlist,
        frequent=np.arange(shortlist.target_vocab_size, dtype=np.int32),
        candidates=np.full((len(shortlist.candidates), 1), NO_TOKEN, np.int32),
    )


def _compare(weights: Weights, check: GraphCheck, found: FloatArray, expected: FloatArray) -> GraphCheck:
    difference, largest = float(np.abs(found - expected).max()), float(np.abs(expected).max())
    tolerance = _ROUNDED_TOLERANCE if weights.has_int8 or weights.has_groups else TOLERANCE
    if difference > tolerance * largest:
        raise LingoLiteError(
            f"the {check.graph} graphs do not compute the model: a logit is off by {difference:.3g}, where "
            f"{tolerance:g} of the largest logit, {largest:.3g}, is allowed",
            hint="report this with the model's configuration; set test = false to write the graphs anyway",
            exit_code=ExitCode.PLUGIN,
        )
    return msgspec.structs.replace(
        check,
        checked_by=(*check.checked_by, "whole vocabulary"),
        max_abs_difference=float(f"{difference:.1e}"),
        max_abs_logit=float(f"{largest:.1e}"),
        tolerance=tolerance,
    )
