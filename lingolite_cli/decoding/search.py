"""The search for the best target sentences, once for every backend.

Owns the choice between greedy search, beam search and an engine's own search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lingolite_cli.decoding.beam import beam_search
from lingolite_cli.decoding.continuations import continuations
from lingolite_cli.decoding.greedy import greedy_search
from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import AnyBackend, Backend, BoolArray, IntArray, TranslateBackend


def search(
    backend: AnyBackend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    options: DecodingOptions,
    capabilities: frozenset[str] = frozenset(),
) -> list[list[Hypothesis]]:
    """Translate a batch of framed sources.

    Args:
        backend: runs the model.
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        options: `max_length` must be within the model's positions.
        capabilities: those that the backend declares; `translate` hands the search to the engine, `top_k` the choice of
            continuations. Neither changes a token.

    Returns:
        For each row its `n_best` hypotheses, best first. A batch without rows is not shown to the backend.

    Raises:
        LingoLiteError: the backend computed NaN, or its own search has no such option.
    """
    if not len(source_ids):
        return []
    if "translate" in capabilities:
        return cast("TranslateBackend", backend).translate(source_ids, source_mask, options)
    stepping = cast("Backend", backend)
    state = stepping.encode(source_ids, source_mask)
    find = greedy_search if options.beam_size == 1 else beam_search
    return find(
        stepping,
        continuations(stepping, capabilities),
        state,
        num_sentences=len(source_ids),
        options=options,
    )
