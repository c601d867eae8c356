"""Translations of the contract's sentences."""

from __future__ import annotations

from typing import Any

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.routes import registry
from lingolite_cli.testing.tiny import IDS


def translations(artifact: Artifact, backend: str, options: dict[str, Any] | None = None) -> list[tuple[int, ...]]:
    """Greedy tokens of each sentence."""
    loaded = registry().resolve("backend", backend)
    opened = loaded.create(artifact, options=options or {}, threads=1)
    found = search(
        opened,
        *pad(framed_sources(artifact), IDS.pad),
        ids=IDS,
        options=DecodingOptions(max_length=24),
        capabilities=loaded.spec.capabilities,
    )
    return [best[0].tokens for best in found]
