"""The search for the best target sentences, once for every backend.

Owns the choice between greedy search, beam search and an engine's own search.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from lingolite_cli.decoding.beam import beam_search
from lingolite_cli.decoding.continuations import continuations
from lingolite_cli.decoding.forced import read_prefix
from lingolite_cli.decoding.greedy import greedy_prefixes, greedy_search
from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions, check_search
from lingolite_cli.errors import LingoLiteError, engine_failures

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray
    from lingolite_cli.plugins.interfaces import AnyBackend, Backend, PrefixBackend
    from lingolite_cli.tokenization.description import DecodingIds

_FAILED = "the engine failed while it translated"


def search(
    backend: AnyBackend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    ids: DecodingIds,
    options: DecodingOptions,
    capabilities: frozenset[str] = frozenset(),
) -> list[list[Hypothesis]]:
    """Translate a batch of framed sources.

    Args:
        backend: runs the model.
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        ids: of the model's tokenizer.
        options: `max_length` must be within the model's positions.
        capabilities: those that the backend declares; `translate` hands the search to the engine, `top_k` the choice of
            continuations. Neither changes a token.

    Returns:
        For each row its `n_best` hypotheses, best first. A batch without rows is not shown to the backend.

    Raises:
        LingoLiteError: the backend computed NaN, or its own search has no such option, no forced prefix, or no limit by
            the source.
    """
    if not len(source_ids):
        return []
    check_search(options, capabilities, has_prefix=bool(ids.prefix))
    if "translate" in capabilities:
        prefix = {"prefix": ids.prefix} if "prefix" in capabilities else {}
        with engine_failures(_FAILED):
            return cast("PrefixBackend", backend).translate(source_ids, source_mask, options, **prefix)
    stepping = cast("Backend", backend)
    find = greedy_search if options.beam_size == 1 else beam_search
    with engine_failures(_FAILED):
        state = stepping.encode(source_ids, source_mask)
        return find(
            stepping,
            continuations(stepping, capabilities, never_generated=ids.never_generated),
            state,
            first=read_prefix(stepping, state, len(source_ids), ids=ids),
            limits=_limits(source_mask, options),
            end=ids.end,
            options=options,
        )


def search_in_steps(
    backend: AnyBackend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    ids: DecodingIds,
    options: DecodingOptions,
    capabilities: frozenset[str] = frozenset(),
) -> Iterator[Hypothesis]:
    """Translate a single framed source, and give the hypothesis after each token; the last is what `search` finds.

    Args:
        backend: runs the model.
        source_ids: [1, S] int64.
        source_mask: [1, S] bool.
        ids: of the model's tokenizer.
        options: of greedy search.
        capabilities: those that the backend declares.

    Raises:
        LingoLiteError: `beam_size` is more than 1, since beams revise earlier tokens; or the engine searches by itself.
    """
    if options.beam_size > 1:
        raise LingoLiteError(
            f"a translation cannot be shown token by token with beam_size {options.beam_size}: beams revise "
            "earlier tokens",
            hint="pass beam_size 1",
        )
    if {"translate", "submit"} & capabilities and "step" not in capabilities:
        raise LingoLiteError(
            "this engine searches by itself, and gives whole translations only", hint="take another backend"
        )
    stepping = cast("Backend", backend)
    with engine_failures(_FAILED):
        state = stepping.encode(source_ids, source_mask)
        yield from greedy_prefixes(
            continuations(stepping, capabilities, never_generated=ids.never_generated),
            state,
            first=read_prefix(stepping, state, len(source_ids), ids=ids),
            limit=int(_limits(source_mask, options)[0]),
            end=ids.end,
            options=options,
        )


def _limits(source_mask: BoolArray, options: DecodingOptions) -> IntArray:
    """[B] int64, most target tokens of each row."""
    return np.array([options.limit(int(length)) for length in source_mask.sum(axis=1)], np.int64)
