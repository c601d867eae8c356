"""How a finished training looks on a terminal."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from lingolite_cli.console import Console
from lingolite_cli.recipe.work.learning import TrainingInterrupted
from lingolite_cli.runs.step_result import TrainingRecord


def show_interruption(stop: TrainingInterrupted, arguments: Sequence[str], console: Console) -> None:
    """Where an interrupted training goes on, and the command for it.

    Args:
        stop: the interruption.
        arguments: of the command that goes on from the checkpoint.
        console: is told.
    """
    if stop.checkpoint is None:
        console.note(
            f"{stop.step}: interrupted before its first checkpoint, which is written after {stop.checkpoint_every:,} "
            "steps; the same command begins anew"
        )
        return
    console.note(f"{stop.step}: its last checkpoint is of step {stop.position:,}: {os.path.relpath(stop.checkpoint)}")
    console.note(f"go on: {shlex.join(['lingolite', *arguments])}")


def show_training(result: TrainingRecord, console: Console) -> None:
    """What was trained on, for how long, and what came of it."""
    console.table(
        ["text", "rows", "pairs", "short", "bad"],
        [
            [
                text.name,
                f"{text.num_rows:,}",
                f"{text.num_pairs:,}",
                f"{text.num_short:,}",
                f"{sum(text.bad.values()):,}",
            ]
            for text in result.texts
        ],
        right="rows,pairs,short,bad",
    )
    dev = "" if result.dev_score is None else f", dev {result.metric} {result.dev_score:.3f}"
    console.print(
        f"{result.num_steps:,} steps, {result.num_tokens:,} target tokens, {result.minutes:.1f} min, ended by "
        f"{result.ended_by}: loss {result.loss:.3f}; weights: {result.weights}{dev}"
    )
