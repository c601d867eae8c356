"""How a lock that was checked looks on a terminal."""

from __future__ import annotations

import os

from lingolite_cli.console import Console, status_text
from lingolite_cli.jobs.lock_check import LockCheck


def show_lock_check(check: LockCheck, console: Console) -> None:
    """What is the same here, what can be expected of another CPU, and below each difference."""
    console.print_json({"findings": check.findings, "run": check.run and str(check.run), "cpu": check.cpu})
    rows = [[finding.what, status_text(finding.status), finding.elsewhere] for finding in check.findings]
    console.table(["what", "here", "on another CPU"], rows)
    for difference in (difference for finding in check.findings for difference in finding.differences):
        console.print(f"differs: {difference}")
    console.print(
        f"run: {os.path.relpath(check.run)}" if check.run else f"no run of {check.recipe} here: no outcome was checked"
    )
    console.print("CPU: " + ("; ".join(check.cpu) or "the instruction sets of the lock"))
