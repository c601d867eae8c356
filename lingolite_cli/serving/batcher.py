"""Sentences of many requests, put together into batches as they arrive.

Owns when a batch is sent to the pool of workers, what is in it, and how many sentences may wait. What a request is made
of is the business of `service`. Everything here runs in one event loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
from msgspec import Meta

from lingolite_cli.decoding.batching import pad
from lingolite_cli.workers.channel import ChildDied

if TYPE_CHECKING:
    from lingolite_cli.decoding.hypothesis import Hypothesis
    from lingolite_cli.decoding.options import DecodingOptions
    from lingolite_cli.plugins.interfaces import PoolBackend
    from lingolite_cli.tokenization.description import DecodingIds

_BATCHES_SEEN = 8
"""Sentences that are looked at to fill a batch with some of like length, in batches."""
_MOST_TOKENS = 4096
"""Source tokens of a batch, padding included."""
_SMOOTHING = 0.2
"""Weight of the latest batch in the rate of translation."""
_MOST_SECONDS = 60
"""Longest time after which a client is told to try again."""


class BatchPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When sentences are translated together.

    Attributes:
        batch_size: most sentences in a batch.
        max_delay_ms: longest time that a sentence waits for others while a worker is idle. While all are busy, what
            arrives is collected anyway.
        max_waiting: most sentences that wait; requests beyond them are refused.
    """

    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 16
    max_delay_ms: Annotated[float, Meta(ge=0.0, le=1000.0)] = 2.0
    max_waiting: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024


class QueueFullError(Exception):
    """More sentences than may wait.

    Args:
        retry_after_seconds: when there will probably be room.
    """

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many sentences are waiting: try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class Search(NamedTuple):
    """How a sentence is searched; only sentences with the same are in one batch."""

    options: DecodingOptions
    ids: DecodingIds


class FoundInBatch(NamedTuple):
    """The hypotheses of a sentence, and the time in seconds that it waited for its batch."""

    hypotheses: list[Hypothesis]
    waited_seconds: float


class BatchReport(NamedTuple):
    """A batch that is done: its sentences, source and target tokens, and the seconds from being sent to its end."""

    num_sentences: int
    num_source_tokens: int
    num_target_tokens: int
    seconds: float


class _Waiting(NamedTuple):
    source: list[int]
    search: Search
    arrived: float
    found: asyncio.Future[FoundInBatch]


class Batcher:
    """Puts sentences into batches for a pool of workers.

    A worker that is idle is sent what there is after `max_delay_ms` at the latest. Workers that have a batch are sent a
    second one if that is full, so that they need not wait for this process. The sentence that has waited longest is
    always in the next batch, with those of the most similar length beside it.

    Args:
        pool: the workers.
        policy: when a batch is sent.
    """

    def __init__(self, pool: PoolBackend, policy: BatchPolicy) -> None:
        self._pool = pool
        self._policy = policy
        self._reports: list[Callable[[BatchReport], None]] = []
        self._waiting: deque[_Waiting] = deque()
        self._num_in_flight = 0
        self._sentences_per_second = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sent: set[asyncio.Task[None]] = set()

    def watch(self, report: Callable[[BatchReport], None]) -> None:
        """Tell `report` of each batch that is done."""
        self._reports.append(report)

    @property
    def max_waiting(self) -> int:
        """Most sentences that may wait."""
        return self._policy.max_waiting

    @property
    def num_waiting(self) -> int:
        """Sentences that wait for a batch."""
        return len(self._waiting)

    @property
    def num_batches(self) -> int:
        """Batches that are with the workers."""
        return self._num_in_flight

    def submit(self, sources: Sequence[list[int]], search: Search) -> list[asyncio.Future[FoundInBatch]]:
        """Queue sentences; a future that is cancelled before its batch is sent takes its sentence out.

        Args:
            sources: ids of framed sources, none of them empty.
            search: how they are searched.

        Raises:
            QueueFullError: there is no room for all of them.
        """
        if len(self._waiting) + len(sources) > self._policy.max_waiting:
            self._waiting = deque(one for one in self._waiting if not one.found.done())
        if len(self._waiting) + len(sources) > self._policy.max_waiting:
            raise QueueFullError(self.retry_after_seconds)
        loop, now = asyncio.get_running_loop(), time.monotonic()
        futures = [loop.create_future() for _ in sources]
        self._waiting.extend(
            _Waiting(source, search, now, found) for source, found in zip(sources, futures, strict=True)
        )
        self._send()
        return futures

    @property
    def retry_after_seconds(self) -> int:
        """When those that wait now are translated, by the rate of the latest batches."""
        if not self._sentences_per_second:
            return 1
        return min(_MOST_SECONDS, max(1, math.ceil(len(self._waiting) / self._sentences_per_second)))

    async def drained(self) -> None:
        """Wait until nothing waits and nothing is with the workers."""
        while self._waiting or self._sent:
            await (asyncio.wait(self._sent) if self._sent else asyncio.sleep(self._policy.max_delay_ms / 1000))

    def _send(self) -> None:
        """Send what is due."""
        while self._waiting and self._num_in_flight < 2 * self._pool.num_workers:
            is_full = len(self._waiting) >= self._policy.batch_size
            if not is_full and self._num_in_flight >= self._pool.num_workers:
                return
            due = self._waiting[0].arrived + self._policy.max_delay_ms / 1000
            if not is_full and time.monotonic() < due:
                self._wake_up_at(due)
                return
            batch = self._take()
            if batch:
                self._num_in_flight += 1
                task = asyncio.ensure_future(self._search(batch))
                self._sent.add(task)
                task.add_done_callback(self._sent.discard)

    def _wake_up_at(self, due: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), self._wake_up)

    def _wake_up(self) -> None:
        self._timer = None
        self._send()

    def _take(self) -> list[_Waiting]:
        """The next batch; empty where everybody who waited has gone away."""
        while self._waiting and self._waiting[0].found.done():
            self._waiting.popleft()
        if not self._waiting:
            return []
        oldest = self._waiting[0]
        num_seen = min(len(self._waiting), _BATCHES_SEEN * self._policy.batch_size)
        seen = [self._waiting.popleft() for _ in range(num_seen)]
        fitting = [one for one in seen if one.search == oldest.search and not one.found.done()]
        fitting.sort(key=lambda one: abs(len(one.source) - len(oldest.source)))
        batch, longest = [oldest], len(oldest.source)
        for one in fitting:
            longest = max(longest, len(one.source))
            if len(batch) == self._policy.batch_size or longest * (len(batch) + 1) > _MOST_TOKENS:
                break
            if one is not oldest:
                batch.append(one)
        taken = {id(one) for one in batch}
        self._waiting.extendleft(one for one in reversed(seen) if id(one) not in taken)
        return batch

    async def _search(self, batch: list[_Waiting]) -> None:
        sent = time.monotonic()
        try:
            found = await self._searched(batch)
        finally:
            self._num_in_flight -= 1
        seconds = time.monotonic() - sent
        rate = len(batch) / max(seconds, 1e-6) * self._pool.num_workers
        self._sentences_per_second += _SMOOTHING * (rate - self._sentences_per_second)
        num_target_tokens = 0
        for one, outcome in zip(batch, found, strict=True):
            if isinstance(outcome, BaseException):
                if not one.found.done():
                    one.found.set_exception(outcome)
                continue
            num_target_tokens += len(outcome[0].tokens)
            if not one.found.done():
                one.found.set_result(FoundInBatch(outcome, sent - one.arrived))
        done = BatchReport(len(batch), sum(len(one.source) for one in batch), num_target_tokens, seconds)
        for report in self._reports:
            report(done)
        self._send()

    async def _searched(self, batch: list[_Waiting]) -> Sequence[list[Hypothesis] | BaseException]:
        """What was found for each sentence, or why nothing was.

        A worker that dies over a batch twice may die over one of its sentences: then each is tried alone.
        """
        options, ids = batch[0].search
        try:
            return await asyncio.wrap_future(
                self._pool.submit(*pad([one.source for one in batch], ids.pad), options, ids)
            )
        except ChildDied as error:
            if len(batch) == 1:
                return [error]
            alone = [await self._searched([one]) for one in batch]
            return [outcome for outcomes in alone for outcome in outcomes]
        except Exception as error:  # reported to whoever waits for these sentences
            return [error] * len(batch)
