"""A corpus filtered into another: lines that stay, and those that are left out, counted by reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec

from lingolite_cli.artifact import Provenance
from lingolite_cli.bulk.filters import FilterOptions, LineFilter, seen_lines
from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import CorpusArtifact, CorpusManifest
from lingolite_cli.corpora.writing import CorpusLayout, CorpusWriter
from lingolite_cli.errors import LingoLiteError


class FilterRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Filters by name, in order, and what they are told."""

    names: tuple[str, ...]
    options: FilterOptions = FilterOptions()


class LeftOut(msgspec.Struct, frozen=True):
    """The first line that was left out for a reason: its number, from 1, and its source."""

    number: int
    source: str


class Filtered(msgspec.Struct, frozen=True):
    """A filtered corpus, and the first line that was left out for each reason."""

    manifest: CorpusManifest
    first: dict[str, LeftOut]


def filter_corpus(
    source: CorpusArtifact, directory: Path, request: FilterRequest, *, console: Console, rejected: Path | None = None
) -> Filtered:
    """Write the lines of `source` that stay into a directory.

    Args:
        source: what is filtered.
        directory: exists and is empty.
        request: the filters.
        console: shows how far it is.
        rejected: an empty directory for a corpus of the others, each with its reason among its `faults`.

    Raises:
        LingoLiteError: nothing would be left.
    """
    manifest = source.manifest
    layout = CorpusLayout(
        languages=manifest.languages, shard_lines=manifest.shard_lines, compression=manifest.compression
    )
    writer = CorpusWriter(directory, layout)
    others = None if rejected is None else CorpusWriter(rejected, layout)
    removed: Counter[str] = Counter()
    first: dict[str, LeftOut] = {}
    with seen_lines() as seen, console.progress("filter", total=manifest.num_lines) as progress:
        lines = LineFilter(request.names, manifest.languages, request.options, seen=seen)
        for number, line in enumerate(progress.track(source.lines()), start=1):
            reason = lines.reason(line)
            if reason is None:
                writer.add(line)
                continue
            removed[reason] += 1
            first.setdefault(reason, LeftOut(number, line.source))
            if others is not None:
                others.add(msgspec.structs.replace(line, faults=(*line.faults, f"filter {reason}")))
    if not writer.num_lines:
        counts = ", ".join(f"{reason} {count:,}" for reason, count in removed.most_common())
        raise LingoLiteError(
            f"the filters leave nothing of the {manifest.num_lines:,} lines of {source.path}: {counts}",
            hint="choose fewer of them with --filter, or looser limits with --option",
        )
    made_by = Provenance(
        operation="filter",
        options={"filters": list(request.names), **msgspec.to_builtins(request.options)},
        inputs={"source": source.digest},
    )
    if others is not None:
        others.finish(msgspec.structs.replace(made_by, operation="filter, rejected"))
    return Filtered(writer.finish(made_by, removed=dict(removed.most_common())), first)
