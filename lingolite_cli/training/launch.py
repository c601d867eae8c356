"""What torchrun passes to a process in its environment. Imports nothing heavy: commands read it first."""

from __future__ import annotations

import os


def num_processes() -> int:
    """How many processes torchrun started; 1 if it did not start this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process; 0 without torchrun."""
    return int(os.environ.get("RANK", "0"))
