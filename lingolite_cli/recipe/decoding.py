"""Decoding options resolved: the artifact's defaults under what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lingolite_cli.artifact import Manifest
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.schema import convert


def resolve_decoding(manifest: Manifest, overrides: Mapping[str, Any], *, where: str) -> DecodingOptions:
    """The artifact's own decoding defaults, within the model's positions, under `overrides`.

    Raises:
        LingoLiteError: an override is unknown or out of range.
    """
    defaults = msgspec.to_builtins(manifest.decoding)
    positions = manifest.model.max_seq_len
    merged = {**defaults, "max_length": min(defaults["max_length"], positions), **overrides}
    return convert(merged, DecodingOptions, where=where)
