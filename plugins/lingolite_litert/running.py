"""The runner of a file, by the shapes that its manifest states, and the choice that is made of what it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from lingolite_cli.decoding.continuations import largest
from lingolite_litert.buckets import BucketRunner
from lingolite_litert.details import LitertDetails
from lingolite_litert.runner import LitertRunner

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.arrays import FloatArray, IntArray

Runner: TypeAlias = LitertRunner | BucketRunner


def runner_of(interpreter: Interpreter, config: Architecture, details: LitertDetails) -> Runner:
    """The runner of a file of this model."""
    if details.buckets:
        return BucketRunner(interpreter, config, buckets=details.buckets)
    return LitertRunner(interpreter, config, max_seq_len=details.max_seq_len)


def best_of(logits: FloatArray, log_total: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """Ids [B, k] int64 and log-probabilities [B, k] float32 of the best next tokens, best first.

    Args:
        logits: [B, V], an output of the decoder.
        log_total: [B, 1], another: what makes log-probabilities of logits.
        k: how many; all V where there are fewer.
    """
    ids, values = largest(logits, k)
    return ids, values - log_total
