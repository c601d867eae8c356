"""Appends a line to the file named in OBSERVER_LOG at each call, and then fails if OBSERVER_FAILS names the call."""

from __future__ import annotations

import os
from pathlib import Path

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.recipe.scope import Plan
from lingolite_cli.runs.record import RunManifest, StepRecord


@hookimpl
def lingolite_run_started(plan: Plan) -> None:
    """Before the first step."""
    _note("started", f"{plan.recipe.name} with {len(plan.steps)} steps")


@hookimpl
def lingolite_step_finished(record: StepRecord) -> None:
    """After each step."""
    _note("finished", f"{record.id}: {record.status}")


@hookimpl
def lingolite_run_finished(manifest: RunManifest) -> None:
    """After the manifest was written."""
    _note("ended", f"{manifest.name}: {manifest.status}")


def _note(call: str, text: str) -> None:
    with Path(os.environ["OBSERVER_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{call} {text}\n")
    if os.environ.get("OBSERVER_FAILS") == call:
        raise RuntimeError(f"no more room for {call}")
