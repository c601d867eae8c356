"""The protocol of runners, which is all that the backend knows of a profile, and the refusals that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lingolite_cli.errors import LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.plugins.interfaces import State


class GraphRunner(Protocol):
    """Runs the graphs of one artifact. A state belongs to the runner that made it.

    Methods are those of `lingolite_cli.plugins.interfaces.Backend`, with contiguous int64 ids and bool masks.
    """

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> State:
        """A state before the first target token, from ids and mask [B, S]."""

    def step(self, state: State, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the token after `tokens` [B]; advances `state`."""

    def step_top_k(self, state: State, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """The same, but ids and log-probabilities [B, k] of the best tokens."""

    def select(self, state: State, rows: IntArray) -> State:
        """A state of the given rows, in any order, repeats allowed."""

    def close(self) -> None:
        """Free all sessions."""


def position_error(what: str, max_seq_len: int) -> LingoLiteError:
    """For `what` lies beyond the rows of the rotary tables in the graphs."""
    return LingoLiteError(
        f"{what} lies beyond the {max_seq_len} positions of these graphs",
        hint="export with a larger --max-seq-len, at most that of the model, or lower --max-length",
    )


def shortlist_error(artifact: Artifact) -> LingoLiteError:
    """For a shortlist was asked for, and the artifact was exported without one."""
    return LingoLiteError(
        f"{artifact.path} has no vocabulary shortlist",
        hint="make one with `lingolite shortlist`, and export with `--option profile=optimized --shortlist FILE`",
    )


def require_files(artifact: Artifact, names: Sequence[str], *, hint: str) -> None:
    """Refuse an artifact that lacks one of the files `names`.

    Raises:
        LingoLiteError: with the first that is missing, and `hint`; or one is not listed in the manifest.
    """
    missing = [name for name in names if not (artifact.path / name).is_file()]
    if missing:
        raise LingoLiteError(f"{artifact.path} has no {missing[0]}", hint=hint)
    for name in names:
        artifact.file(name)
