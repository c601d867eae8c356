"""What is in the cache, on a terminal."""

from __future__ import annotations

from lingolite_cli.console import Console
from lingolite_cli.recipe.cache_upkeep import Amount, CacheContents


def show_contents(contents: CacheContents, console: Console) -> None:
    """A line for each kind of thing, and how to clear what is of no use."""
    console.print_json(contents)
    rows = [(f"steps: {kind}", amount) for kind, amount in contents.steps.items()]
    rows += [
        ("artifacts", contents.artifacts),
        ("tokenized texts to train on", contents.texts),
        ("unfinished trainings and searches", contents.state),
        ("of no use to this version", contents.stale),
        ("total", contents.total),
    ]
    console.table(["what", "count", "MB"], [[name, *_cells(amount)] for name, amount in rows], right="count,MB")
    console.print(f"cache: {contents.directory}")
    if contents.stale.count:
        console.print("lingolite cache prune clears what is of no use")


def show_pruned(removed: Amount, console: Console) -> None:
    """What was removed."""
    console.print_json({"removed": removed})
    console.print(f"{removed.count:,} removed, {removed.size_bytes / 1e6:,.1f} MB")


def _cells(amount: Amount) -> list[str]:
    return [f"{amount.count:,}", f"{amount.size_bytes / 1e6:,.1f}"]
