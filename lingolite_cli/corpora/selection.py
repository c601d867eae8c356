"""Parts of a corpus: a random sample, and a split in which no source is on two sides.

Owns the choice. It depends on the text and the seed alone, not on the order of shards or the machine.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator, Mapping

from lingolite_cli.corpora.lines import CorpusLine

Lines = Callable[[], Iterator[CorpusLine]]
"""Gives the lines of a corpus from the first, as often as it is called."""
REST = "train"
"""The part of a split that has all that no other part has."""


def rank(source: str, seed: int) -> int:
    """A number that looks random, the same for equal sources: 64 bits."""
    text = " ".join(source.split()).casefold()
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=seed.to_bytes(8, "big"))
    return int.from_bytes(digest.digest(), "big")


def sampled(lines: Lines, num_lines: int, *, seed: int) -> Iterator[CorpusLine]:
    """A random sample in the order of the corpus: of any size, memory holds a number for each line of the sample.

    Args:
        lines: of the corpus.
        num_lines: of the sample; all, where the corpus has fewer.
        seed: of the choice.
    """
    # Equal sources have equal ranks; their places tell them apart.
    ranks = ((rank(f"{line.source}\n{number}", seed), number) for number, line in enumerate(lines()))
    chosen = {number for _, number in heapq.nsmallest(num_lines, ranks)}
    return (line for number, line in enumerate(lines()) if number in chosen)


def split_parts(lines: Lines, sizes: Mapping[str, int], *, seed: int) -> Callable[[CorpusLine], str]:
    """Which part of a split a line belongs to. Lines with equal sources belong to one part, so that none is trained on
    and tested with.

    Args:
        lines: of the corpus.
        sizes: different sources of each part but `REST`, by name. A part has all lines of its sources.
        seed: of the choice.

    Returns:
        The name of the part of a line.
    """
    total = sum(sizes.values())
    smallest = _smallest(lines, total, seed=seed)
    parts: dict[int, str] = {}
    start = 0
    for name, size in sizes.items():
        parts.update(dict.fromkeys(smallest[start : start + size], name))
        start += size
    return lambda line: parts.get(rank(line.source, seed), REST)


def _smallest(lines: Lines, count: int, *, seed: int) -> list[int]:
    """The smallest ranks of different sources, in order."""
    kept: list[int] = []  # a heap of negative ranks: the largest of the smallest comes first
    known: set[int] = set()
    for line in lines():
        found = rank(line.source, seed)
        if found in known or (len(kept) == count and (not count or found >= -kept[0])):
            continue
        known.add(found)
        if len(kept) < count:
            heapq.heappush(kept, -found)
        else:
            known.discard(-heapq.heapreplace(kept, -found))
    return sorted(-found for found in kept)
