"""The decoding options: one struct for every command, recipe, manifest and report."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import msgspec
from msgspec import Meta

from lingolite_cli.errors import LingoLiteError


class DecodingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a target sentence is searched for.

    Attributes:
        beam_size: hypotheses kept at each step; 1 is greedy search.
        length_penalty: α of GNMT's ((5+n)/6)^α, by which a hypothesis' log-probability is divided
            (Wu et al. 2016, arXiv:1609.08144, eq. 14, without the coverage term). Greedy search ignores it.
        max_length: most target tokens, the end token included.
        min_length: target tokens before which the end token is not allowed.
        n_best: hypotheses returned a sentence, best first; at most `beam_size`.
        max_length_factor: most target tokens for each token of the framed source, as models of Marian have it; not set:
            `max_length` alone is the limit.
    """

    beam_size: Annotated[int, Meta(ge=1, le=64)] = 1
    length_penalty: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.0
    max_length: Annotated[int, Meta(ge=1)] = 128
    min_length: Annotated[int, Meta(ge=0)] = 0
    n_best: Annotated[int, Meta(ge=1)] = 1
    # UNSET is not encoded: manifests and records without it keep their bytes.
    max_length_factor: Annotated[float, Meta(gt=0.0, le=1000.0)] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.n_best > self.beam_size:
            raise ValueError(f"n_best {self.n_best} is more than beam_size {self.beam_size}")
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is more than max_length {self.max_length}")

    def limit(self, num_source_tokens: int) -> int:
        """Most target tokens for a source of that length, at least 1 and `min_length`."""
        if isinstance(self.max_length_factor, msgspec.UnsetType):
            return self.max_length
        return min(self.max_length, max(1, self.min_length, int(self.max_length_factor * num_source_tokens)))


def check_search(options: DecodingOptions, capabilities: Collection[str], *, has_prefix: bool) -> None:
    """Refuse what an engine lacks that searches by itself, before anything is translated.

    Args:
        options: of the search.
        capabilities: those that the backend declares.
        has_prefix: whether targets have a forced prefix.

    Raises:
        LingoLiteError: the engine has no forced prefix, or no limit by the source.
    """
    if "translate" not in capabilities:
        return
    if has_prefix and "prefix" not in capabilities:
        raise LingoLiteError(
            "this engine searches by itself, and takes no forced prefix of a target",
            hint="export the bundle to a format whose search is the host's, such as onnx or litert",
        )
    if not isinstance(options.max_length_factor, msgspec.UnsetType):
        raise LingoLiteError(
            f"this engine searches by itself, and has no max_length_factor ({options.max_length_factor:g})",
            hint="export the bundle to a format whose search is the host's, such as onnx or litert",
        )
