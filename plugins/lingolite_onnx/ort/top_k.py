"""The k best next tokens, chosen in the graph.

Owns the choice for a few rows, for many, and among candidate tokens. R rows, V vocabulary, N candidates, k best tokens.
"""

from __future__ import annotations

from lingolite_onnx.graph import GraphBuilder
from lingolite_onnx.ort.interface import TOP_IDS, TOP_LOG_PROBABILITIES

_BLOCK_SIZES = range(256, 31, -1)
"""Sizes of a block of the vocabulary, best first. A size must divide the vocabulary, because blocks are a reshape."""

_FEWEST_BLOCKS = 4
"""With fewer, the blocks of the largest maxima are most of the vocabulary, and nothing is saved."""


def add_top_k(graph: GraphBuilder, logits: str) -> None:
    """Outputs `top_ids` and `top_log_probabilities`, [R, 1, k], from logits [R, 1, V].

    Candidates are chosen by logits: log-probabilities may tie where logits do not. Ties go to the smaller id.
    """
    # TopK with k = 1 is as fast as ArgMax, so greedy search needs no graph of its own.
    graph.ops("TopK", logits, "k", names=["top_values", TOP_IDS], axis=-1)
    _log_probabilities(graph, logits, TOP_IDS)


def add_top_k_of_candidates(graph: GraphBuilder, logits: str, *, ids: str) -> None:
    """The same from logits [R, 1, N] of the tokens `ids` [R, 1, N], ascending but for impossible ones."""
    _, places = graph.ops("TopK", logits, "k", names=["top_values", None], axis=-1)
    graph.op("GatherElements", ids, places, axis=-1, name=TOP_IDS)
    _log_probabilities(graph, logits, places)


def add_top_k_by_blocks(graph: GraphBuilder, logits: str, *, vocab_size: int) -> None:
    """The same, several times as fast for many rows.

    `TopK` is slow, and this keeps most logits from it. The k best are within the k blocks whose largest logits are
    largest: each block before one of these holds a logit that comes before any in the later ones, and on a tie that is
    the block of smaller ids. So `TopK` sees block maxima and k blocks instead of all logits. Blocks are gathered in the
    order of their ids, so that ties still go to the smaller one.
    """
    size = next(
        (size for size in _BLOCK_SIZES if vocab_size % size == 0 and vocab_size // size >= _FEWEST_BLOCKS), None
    )
    if size is None:
        add_top_k(graph, logits)
        return
    count = vocab_size // size
    by_block = graph.op("Reshape", logits, graph.integers(-1, count, size))
    largest = graph.op("ReduceMax", by_block, graph.integers(-1), keepdims=0)
    num_kept = graph.op("Min", "k", graph.integers(count))
    _, kept = graph.ops("TopK", largest, num_kept, names=[None, None], axis=-1)
    in_order, _ = graph.ops("TopK", kept, num_kept, names=[None, None], axis=-1, largest=0)
    gathered = graph.op("GatherND", by_block, graph.op("Unsqueeze", in_order, graph.integers(-1)), batch_dims=1)
    flat = graph.op(
        "Reshape",
        gathered,
        graph.op("Concat", graph.integers(-1), graph.op("Mul", num_kept, graph.integers(size)), axis=0),
    )
    _, places = graph.ops("TopK", flat, "k", names=[None, None], axis=-1)
    rank = graph.op("Div", places, graph.integers(size))
    block = graph.op("GatherElements", in_order, rank, axis=-1)
    shift = graph.op("Mul", graph.op("Sub", block, rank), graph.integers(size))
    graph.op("Unsqueeze", graph.op("Add", places, shift), graph.integers(1), name=TOP_IDS)
    _log_probabilities(graph, logits, TOP_IDS)


def _log_probabilities(graph: GraphBuilder, logits: str, places: str) -> None:
    # ReduceLogSumExp, whose result is one number a row, takes five times as long.
    log_probabilities = graph.op("LogSoftmax", logits, axis=-1)
    graph.op("GatherElements", log_probabilities, places, axis=-1, name=TOP_LOG_PROBABILITIES)
