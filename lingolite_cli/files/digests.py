"""Digests: SHA-256 of files, and of values by their canonical JSON. Equal contents have equal digests everywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

_BLOCK = 1 << 20


def canonical_json(value: Any) -> bytes:
    """`value` as JSON with sorted keys: equal values give equal bytes."""
    return msgspec.json.encode(value, order="sorted")


def sha256_json(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
