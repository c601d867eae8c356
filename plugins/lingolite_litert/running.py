"""The runner of a file, by the shapes that its manifest states."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from lingolite_litert.buckets import BucketRunner
from lingolite_litert.details import LitertDetails
from lingolite_litert.runner import LitertRunner

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

    from lingolite_cli.architecture.architecture import Architecture

Runner: TypeAlias = LitertRunner | BucketRunner


def runner_of(interpreter: Interpreter, config: Architecture, details: LitertDetails) -> Runner:
    """The runner of a file of this model."""
    if details.buckets:
        return BucketRunner(interpreter, config, buckets=details.buckets)
    return LitertRunner(interpreter, config, max_seq_len=details.max_seq_len)
