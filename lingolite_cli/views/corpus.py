"""What commands on corpora show: how many lines of what, where from, and what was found in them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import CorpusArtifact, CorpusManifest

if TYPE_CHECKING:
    from lingolite_cli.bulk.filtering import Filtered
    from lingolite_cli.bulk.translation import BulkOutcome


_MOST_NAMED = 12
_MOST_CHARACTERS = 80


def show_translated_corpus(outcome: BulkOutcome, out: Path, console: Console) -> None:
    """What a job translated, and what is wrong with some of it."""
    manifest = outcome.manifest
    for warning in outcome.warnings:
        console.warn(warning)
    for line in outcome.failed:
        console.warn(f"line {line.number} has no translation: {line.error}")
    if manifest.num_failed:
        console.warn(f"{manifest.num_failed:,} of {manifest.num_lines:,} lines have no translation; `error` says why")
    if manifest.num_truncated:
        console.warn(f"{manifest.num_truncated:,} lines have more tokens than the model reads: they were cut")
    there = len(manifest.shards) - outcome.num_done
    note = f"; {there:,} of them were there already" if there else ""
    console.print(f"{out}: {manifest.num_lines:,} lines in {shards(manifest)}{note}")
    if manifest.faults:
        console.print(f"faults: {counted(manifest.faults)}")
    console.print_json(manifest_report(manifest))


def shards(manifest: CorpusManifest) -> str:
    """How many shards there are, in words."""
    return f"{len(manifest.shards):,} shard{'s' * (len(manifest.shards) != 1)}"


def counted(counts: Mapping[str, int]) -> str:
    """Counts by name in a line, the largest first."""
    found = sorted(counts.items(), key=lambda item: (-item[1], item))
    named = ", ".join(f"{name} {count:,}" for name, count in found[:_MOST_NAMED])
    return named if len(found) <= _MOST_NAMED else f"{named}, and {len(found) - _MOST_NAMED:,} more"


def manifest_report(manifest: CorpusManifest) -> dict[str, object]:
    """The manifest as `--json` has it: counts in place of the list of shards."""
    plain = msgspec.to_builtins(manifest)
    del plain["shards"]
    return {
        **plain,
        "num_shards": len(manifest.shards),
        "size_bytes": sum(shard.size_bytes for shard in manifest.shards),
        "faults": manifest.faults,
        "num_failed": manifest.num_failed,
        "num_truncated": manifest.num_truncated,
    }


def show_made_corpus(manifest: CorpusManifest, out: Path, console: Console) -> None:
    """What a command made."""
    size_bytes = sum(shard.size_bytes for shard in manifest.shards)
    console.print(f"{out}: {manifest.num_lines:,} lines in {shards(manifest)}, {size_bytes / 1e6:.2f} MB")
    if manifest.removed:
        console.print(f"left out: {counted(manifest.removed)}")
    console.print_json(manifest_report(manifest))


def show_corpus(corpus: CorpusArtifact, console: Console, *, num_lines: int) -> None:
    """What is in a corpus, and its first lines."""
    manifest = corpus.manifest
    kind = "parallel" if manifest.is_parallel else "monolingual"
    console.print(f"{corpus.path}: {kind} text, {' → '.join(manifest.languages)}")
    rows = [
        ("lines", f"{manifest.num_lines:,} in {shards(manifest)} of {manifest.shard_lines:,}"),
        ("size", f"{corpus.size_bytes / 1e6:.2f} MB, {manifest.compression}"),
        ("digest", corpus.digest),
        ("made by", _made_by(manifest)),
    ]
    for name, counts in (
        ("licences", manifest.licences),
        ("provenance", manifest.provenances),
        ("left out", manifest.removed),
        ("faults", manifest.faults),
    ):
        if counts:
            rows.append((name, counted(counts)))
    if manifest.num_failed:
        rows.append(("not translated", f"{manifest.num_failed:,} lines"))
    for name, value in rows:
        console.print(f"{name:15}{value}")
    first = list(islice(corpus.lines(), num_lines))
    if first:
        console.table(
            ["source", "target"] if manifest.is_parallel else ["text"],
            [[line.source, line.target or ""] if manifest.is_parallel else [line.source] for line in first],
        )
    console.print_json({**manifest_report(manifest), "digest": corpus.digest})


def _made_by(manifest: CorpusManifest) -> str:
    inputs = ", ".join(f"{name} {digest[:12]}" for name, digest in manifest.made_by.inputs.items())
    return f"{manifest.made_by.operation}, {manifest.made_by.tool}" + (f", of {inputs}" if inputs else "")


def show_filtered_corpus(filtered: Filtered, out: Path, console: Console) -> None:
    """What stays, and what was left out for which reason, with the first line of each."""
    manifest = filtered.manifest
    num_removed = sum(manifest.removed.values())
    console.print(f"{out}: {manifest.num_lines:,} of {manifest.num_lines + num_removed:,} lines stay")
    if manifest.removed:
        console.table(
            ["left out", "lines", "first"],
            [
                [
                    reason,
                    f"{count:,}",
                    f"{filtered.first[reason].number:,}: {_shortened(filtered.first[reason].source)}",
                ]
                for reason, count in manifest.removed.items()
            ],
            right="lines",
        )
    console.print_json(manifest_report(manifest))


def show_split_corpus(parts: Mapping[str, CorpusManifest], out: Path, console: Console) -> None:
    """The parts of a split."""
    for name, manifest in parts.items():
        console.print(f"{out / name}: {manifest.num_lines:,} lines in {shards(manifest)}")
    console.print_json({name: manifest_report(manifest) for name, manifest in parts.items()})


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
