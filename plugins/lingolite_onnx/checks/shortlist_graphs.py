"""Checks of the decoders over candidate tokens: with all tokens as candidates they compute what the other decoders do.

Each row has its part of the vocabulary as candidates, so that one copy of the output projection is looked up, however
many rows there are. B batch, T target, V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.artifact import SHORTLIST_NAME
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.shortlist.candidates import IMPOSSIBLE, CandidateChooser, Candidates
from lingolite_cli.shortlist.shortlist import read_shortlist
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.comparison import TOLERANCE, largest_product, require_finite_logits
from lingolite_onnx.checks.samples import Sample
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.ort.candidate_graphs import candidate_parts
from lingolite_onnx.ort.interface import DECODER, SHORTLIST_BATCH_DECODER, SHORTLIST_DECODER
from lingolite_onnx.ort.runner import MANY_WIDE_ROWS, OrtRunner
from lingolite_onnx.session.saturation import asks_for_precision, int8_is_exact

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_onnx.profiles import GraphSettings

_KERNEL_TOLERANCE, _ROUNDED_TOLERANCE = 1e-2, 0.1
"""As `TOLERANCE` where both decoders round activations before the projection, the other one inside its kernel, and
where only the other one does."""


def check_shortlist_graphs(
    weights: Weights, directory: Path, sample: Sample, settings: GraphSettings
) -> tuple[GraphCheck, ...]:
    """Run the decoders over candidate tokens on a few rows, and on many where there is one for these.

    Raises:
        LingoLiteError: logits are not finite, or differ from those of the decoder without a shortlist by more than
            rounding explains, when `settings.test` asks for that.
    """
    chooser = _PartsOfVocabulary(read_shortlist(directory / SHORTLIST_NAME))
    rows = {"optimized shortlist": 1}
    is_used = not asks_for_precision(int8_is_exact(1).entries)  # see `OrtRunner`
    if is_used and (directory / SHORTLIST_BATCH_DECODER).is_file():
        rows["optimized shortlist batch"] = MANY_WIDE_ROWS
    checks = []
    for graph, copies in rows.items():
        expected = run_ort_decoder(weights, directory, sample, max_seq_len=settings.max_seq_len, copies=copies)
        found = run_ort_decoder(
            weights, directory, sample, max_seq_len=settings.max_seq_len, copies=copies, chooser=chooser
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
    chooser: CandidateChooser | None = None,
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
        chooser=chooser,
    )
    state = runner.encode(np.tile(sample.source_ids, (copies, 1)), np.tile(sample.source_mask, (copies, 1)))
    targets = np.tile(sample.target_ids, (copies, 1))
    logits = np.stack([runner.step(state, tokens).copy() for tokens in np.ascontiguousarray(targets.T)], axis=1)
    runner.close()
    require_finite_logits(logits, SHORTLIST_DECODER if chooser else DECODER)
    return logits


class _PartsOfVocabulary(CandidateChooser):
    """Gives each row a part of the vocabulary, and all rows together the whole."""

    def choose(self, source_ids: IntArray, source_mask: BoolArray) -> Candidates:
        """See `lingolite_cli.shortlist.candidates.CandidateChooser`."""
        rows, vocab_size = len(source_ids), self.vocab_size
        parts = np.arange(rows * -(-vocab_size // rows)).reshape(rows, -1) % vocab_size
        ids = np.sort(parts, axis=1)
        return Candidates(ids, np.ones(ids.shape, np.bool_))


def _compare(weights: Weights, check: GraphCheck, found: FloatArray, expected: FloatArray) -> GraphCheck:
    is_candidate = found > IMPOSSIBLE
    difference = float(np.abs(found - expected)[is_candidate].max())
    largest = largest_product(weights, expected)
    tolerance = _tolerance(weights)
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


def _tolerance(weights: Weights) -> float:
    if weights.activations == "calibrated":
        return TOLERANCE
    if candidate_parts(weights):
        return _KERNEL_TOLERANCE
    return _ROUNDED_TOLERANCE if weights.has_int8 or weights.has_groups else TOLERANCE
