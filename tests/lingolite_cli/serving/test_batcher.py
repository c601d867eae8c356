"""Batches of sentences as they arrive: when they are sent, what is in them, and what becomes of failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import pytest

from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.serving.batcher import Batcher, BatchPolicy, BatchReport, FoundInBatch, QueueFullError, Search
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.workers.channel import ChildDied

GREEDY = Search(DecodingOptions(), IDS)
NO_DELAY = {"max_delay_ms": 0.0}
"""What waits is sent as soon as a worker is idle."""
LONG = {"max_delay_ms": 1000.0}
"""Nothing is sent for being old within a test."""


class Desk:
    """A pool whose batches a test answers, in any order."""

    def __init__(self, num_workers: int = 1) -> None:
        self.num_workers = num_workers
        self.batches: list[list[list[int]]] = []
        self.futures: list[Future[list[list[Hypothesis]]]] = []
        self.options: list[DecodingOptions] = []

    def submit(self, source_ids: Any, source_mask: Any, options: DecodingOptions, ids: Any) -> Any:
        self.batches.append([row[mask].tolist() for row, mask in zip(source_ids, source_mask, strict=True)])
        self.options.append(options)
        self.futures.append(Future())
        return self.futures[-1]

    def close(self) -> None:
        """Nothing to end."""

    def answer(self, place: int) -> None:
        """Give each source of a batch back."""
        found = [
            [Hypothesis(tokens=tuple(source), log_probability=-1.0, score=-1.0, is_finished=True)]
            for source in self.batches[place]
        ]
        self.futures[place].set_result(found)


def in_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def settled() -> None:
    """Everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


def tokens(found: FoundInBatch) -> list[int]:
    return list(found.hypotheses[0].tokens)


@in_a_loop
async def test_an_idle_worker_is_sent_what_there_is_after_the_delay() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=4, **NO_DELAY))
    (one,) = batcher.submit([[5, 6]], GREEDY)
    await settled()
    assert desk.batches == [[[5, 6]]]
    desk.answer(0)
    assert tokens(await one) == [5, 6]


@in_a_loop
async def test_a_full_batch_waits_for_nothing() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=2, **LONG))
    batcher.submit([[5]], GREEDY)
    await settled()
    assert desk.batches == []
    batcher.submit([[6]], GREEDY)
    await settled()
    assert desk.batches == [[[5], [6]]]


@in_a_loop
async def test_what_arrives_while_workers_are_busy_is_collected() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=3, **NO_DELAY))
    batcher.submit([[5]], GREEDY)
    await settled()
    late = [batcher.submit([[number]], GREEDY)[0] for number in (6, 7)]
    await settled()
    assert len(desk.batches) == 1
    desk.answer(0)
    await settled()
    assert desk.batches[1] == [[6], [7]]
    desk.answer(1)
    assert [tokens(await one) for one in late] == [[6], [7]]


@in_a_loop
async def test_a_busy_worker_has_its_next_batch_already_if_that_is_full() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=2, **NO_DELAY))
    batcher.submit([[number] for number in range(5, 11)], GREEDY)
    await settled()
    assert [len(batch) for batch in desk.batches] == [2, 2], "one to work on, and one to begin with then"
    assert batcher.num_waiting == 2


@in_a_loop
async def test_the_oldest_is_always_next_with_those_of_its_length() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=2, **NO_DELAY))
    batcher.submit([[9], [9], [9], [9]], GREEDY)
    batcher.submit([[5] * 8, [6], [7] * 7, [8]], GREEDY)
    await settled()
    for place in range(4):
        desk.answer(place)
        await settled()
    assert [sorted(map(len, batch)) for batch in desk.batches] == [[1, 1], [1, 1], [7, 8], [1, 1]]


@in_a_loop
async def test_only_sentences_that_are_searched_alike_share_a_batch() -> None:
    desk = Desk(2)
    batcher = Batcher(desk, BatchPolicy(batch_size=8, **NO_DELAY))
    beam = Search(DecodingOptions(beam_size=4), IDS)
    batcher.submit([[5]], GREEDY)
    batcher.submit([[6]], beam)
    batcher.submit([[7]], GREEDY)
    await settled()
    desk.answer(0)
    await settled()
    assert sorted(zip((options.beam_size for options in desk.options), desk.batches, strict=True)) in (
        [(1, [[5]]), (1, [[7]]), (4, [[6]])],
        [(1, [[5], [7]]), (4, [[6]])],
    )


@in_a_loop
async def test_a_full_queue_refuses_whole_requests_and_says_when_to_come_again() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=1, max_waiting=2, **NO_DELAY))
    batcher.submit([[5]], GREEDY)
    batcher.submit([[6]], GREEDY)
    batcher.submit([[7], [8]], GREEDY)
    with pytest.raises(QueueFullError) as refused:
        batcher.submit([[9]], GREEDY)
    assert refused.value.retry_after_seconds >= 1
    assert batcher.num_waiting == 2


@in_a_loop
async def test_whoever_goes_away_leaves_room() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=1, max_waiting=1, **NO_DELAY))
    batcher.submit([[5]], GREEDY)
    batcher.submit([[6]], GREEDY)
    (gone,) = batcher.submit([[7]], GREEDY)
    gone.cancel()
    batcher.submit([[8]], GREEDY)
    for place in (0, 1, 2):
        await settled()
        desk.answer(place)
    await settled()
    assert [8] in desk.batches[-1]
    assert all([7] not in batch for batch in desk.batches)


@in_a_loop
async def test_a_sentence_that_ends_its_worker_takes_no_other_with_it() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=2, **NO_DELAY))
    good, fatal = batcher.submit([[5], [6]], GREEDY)
    await settled()
    desk.futures[0].set_exception(ChildDied("worker 1: its process died"))
    await settled()
    assert desk.batches[1] == [[5]], "each alone"
    desk.answer(1)
    await settled()
    desk.futures[2].set_exception(ChildDied("worker 1: its process died"))
    assert tokens(await good) == [5]
    with pytest.raises(ChildDied):
        await fatal


@in_a_loop
async def test_an_error_of_the_engine_reaches_all_who_wait_for_it_and_ends_nothing() -> None:
    desk = Desk()
    batcher = Batcher(desk, BatchPolicy(batch_size=2, **NO_DELAY))
    futures = batcher.submit([[5], [6]], GREEDY)
    await settled()
    desk.futures[0].set_exception(LingoLiteError("no such search"))
    assert all(isinstance(found, LingoLiteError) for found in await asyncio.gather(*futures, return_exceptions=True))
    (next_one,) = batcher.submit([[7]], GREEDY)
    await settled()
    desk.answer(1)
    assert tokens(await next_one) == [7]


@in_a_loop
async def test_whoever_watches_is_told_of_each_batch() -> None:
    desk, seen = Desk(), list[BatchReport]()
    batcher = Batcher(desk, BatchPolicy(batch_size=2, **NO_DELAY))
    batcher.watch(seen.append)
    batcher.submit([[5, 6, 7], [8]], GREEDY)
    await settled()
    desk.answer(0)
    await batcher.drained()
    assert [(batch.num_sentences, batch.num_source_tokens, batch.num_target_tokens) for batch in seen] == [(2, 4, 4)]
