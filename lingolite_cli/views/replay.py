"""How goldens on platforms look on a terminal."""

from __future__ import annotations

from lingolite_cli.console import Console
from lingolite_cli.emulation.replaying import PlatformReplay
from lingolite_cli.runs.measured_results import ReplayResult


def show_replay(result: ReplayResult, console: Console) -> None:
    """A row for each platform, and what differs."""
    console.table(
        ["platform", "processor", "runtime", "goldens"],
        [[one.platform, one.processor, one.runtime, replayed_text(one)] for one in result.platforms],
    )
    for one in result.platforms:
        for difference in one.differences:
            console.print(
                f"{one.platform}: {difference.source!r}: {difference.what}: {difference.found!r}, "
                f"not {difference.expected!r}"
            )


def replayed_text(one: PlatformReplay) -> str:
    """How many goldens of a platform are equal, or why it was not run."""
    if one.why_not is not None:
        return f"not run: {one.why_not}"
    return f"{one.num_equal} of {one.num_goldens} equal"
