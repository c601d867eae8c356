"""What decides the outcome of a job, and what its workers are sent.

Owns the description of a job, from which the keys of shards are made, and the messages. A key covers the model, how it
is run and the text of the shard; what it does not cover, such as the number of workers, changes no byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from lingolite_cli.decoding.hypothesis import Alternative
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.environment import VERSION
from lingolite_cli.files.digests import canonical_json


class TranslationJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides every byte that a job makes, besides its text.

    Attributes:
        model: digest of the artifact.
        backend: that runs it.
        options: the backend's.
        decoding: how hypotheses are searched.
        languages: source and target language.
        is_splitting: whether texts are split into sentences.
        batch_size: most sentences in a batch.
        threads: of each engine.
        shard_lines: of each shard but the last.
        tool: the version of LingoLite.
    """

    model: str
    backend: str
    options: dict[str, Any] = {}
    decoding: DecodingOptions
    languages: tuple[str, str]
    is_splitting: bool
    batch_size: int
    threads: int
    shard_lines: int
    tool: str = f"lingolite {VERSION}"

    def difference(self, other: TranslationJob) -> str | None:
        """The first thing in which two jobs differ, in words; None where they are the same."""
        for name in self.__struct_fields__:
            own, others = getattr(self, name), getattr(other, name)
            if own != others:
                return f"{name.removeprefix('is_')} {_short(others)}, not {_short(own)}"
        return None

    def key(self, texts: Iterable[str]) -> str:
        """The key of a shard with these sources, in hex."""
        digest = hashlib.sha256(canonical_json(self))
        for text in texts:
            encoded = text.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()


def _short(value: object) -> str:
    text = str(msgspec.to_builtins(value))
    return text if len(text) <= 60 else f"{text[:60]}…"


class ShardSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is made with: the job, and plugins that it must not load."""

    job: TranslationJob
    blocked: tuple[str, ...] = ()


class ShardRequest(msgspec.Struct, frozen=True):
    """The sources of a shard."""

    texts: list[str]


class TranslatedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one line; see `lingolite_cli.corpora.lines.CorpusLine`."""

    text: str | None = None
    score: float | None = None
    faults: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    is_truncated: bool = False
    error: str | None = None


class ShardAnswer(msgspec.Struct, frozen=True):
    """A line for each source, and what the engine warns of on the worker's machine."""

    lines: list[TranslatedLine]
    warnings: tuple[str, ...] = ()
