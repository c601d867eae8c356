"""The state of the project's Git repository, as it is recorded of a run.

Owns how Git is asked. Where there is no repository, or no Git, nothing is recorded.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

_SECONDS = 10.0
"""That Git has to answer; a run does not wait longer for it."""


class Revision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A commit, and whether tracked files of the project differed from it when the run began."""

    commit: str
    is_changed: bool

    @property
    def said(self) -> str:
        """In words."""
        return f"{self.commit}, with uncommitted changes" if self.is_changed else self.commit


def find_revision(root: Path) -> Revision | None:
    """The revision of the repository that the directory `root` is in; None where there is none."""
    try:
        commit = _git(root, "rev-parse", "--verify", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return Revision(commit=commit, is_changed=bool(changes))


def _git(root: Path, *arguments: str) -> str:
    # A monitor of the file system is a program that the repository names: a project from elsewhere must not start it.
    # Without optional locks, nothing is written.
    command = ["git", "--no-optional-locks", "-C", str(root), "-c", "core.fsmonitor=false", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=_SECONDS)
    return done.stdout.decode("utf-8", "replace").strip()
