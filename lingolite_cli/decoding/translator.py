"""From texts to translations: tokenizer, batches, search and back, as a stream in input order.

Owns the window of sentences that are sorted by length together. What a batch's search does is in `search`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from lingolite_cli.decoding.batching import batches, pad
from lingolite_cli.decoding.hypothesis import Alternative, Hypothesis
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search, search_in_steps
from lingolite_cli.errors import LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.arrays import BoolArray, IntArray
    from lingolite_cli.plugins.interfaces import AnyBackend, PoolBackend
    from lingolite_cli.tokenization.tokenizer import SourceIds, Tokenizer

    _Batch: TypeAlias = tuple[list[int], list["Translation"]]

Observer: TypeAlias = Callable[[int, int], None]

WINDOW_BATCHES = 16
"""Batches read ahead, to have sentences of like length to put together."""


BATCHES_AHEAD = 2
"""Batches for each worker of a pool that are read ahead at least, so that no worker waits for text."""


_INCOMPLETE = "\ufffd"
"""Stands for bytes that are not a whole character yet."""


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """The translation of one text.

    Attributes:
        text: the best hypothesis as text.
        tokens: its ids, the end token included where it was reached; none for an empty text.
        score: its log-probability over the length penalty.
        alternatives: the n best, the best included, best first.
        num_source_tokens: length of the framed source before it was cut.
        is_truncated: the source was longer than the model's positions, and was cut.
        is_finished: the hypothesis reached the end token within `max_length`.
    """

    text: str
    tokens: tuple[int, ...]
    score: float
    alternatives: tuple[Alternative, ...]
    num_source_tokens: int
    is_truncated: bool
    is_finished: bool


class Translator:
    """Translates texts with one backend.

    Args:
        backend: runs the model.
        tokenizer: the model's own.
        model: its configuration; `max_seq_len` bounds source and target.
        languages: source and target language, such as ("en", "da").
        options: decoding options.
        batch_size: most sentences searched together.
        max_batch_tokens: most source tokens in a batch, padding included.
        capabilities: those that the backend declares.

    Attributes:
        options: within the model's positions.
        decoding_ids: what a search between these languages is told of the tokenizer.

    Raises:
        LingoLiteError: a language has no tag, `batch_size` is below 1, or `min_length` is beyond the model's positions.
    """

    def __init__(
        self,
        backend: AnyBackend,
        tokenizer: Tokenizer,
        model: Architecture,
        languages: tuple[str, str],
        *,
        options: DecodingOptions,
        batch_size: int = 32,
        max_batch_tokens: int = 4096,
        capabilities: frozenset[str] = frozenset(),
    ) -> None:
        self.decoding_ids = tokenizer.decoding_ids(languages)
        if batch_size < 1:
            raise LingoLiteError(f"batch_size must be at least 1, not {batch_size}")
        self.options = within_positions(options, model.max_seq_len - len(self.decoding_ids.prefix))
        self._backend = backend
        self._tokenizer = tokenizer
        self._max_source_tokens = model.max_seq_len
        self._languages = languages
        self._batch_size = batch_size
        self._max_batch_tokens = max_batch_tokens
        self._capabilities = capabilities

    def source_ids(self, text: str) -> list[int]:
        """Ids of a text as it is translated: framed, and cut to the model's positions."""
        return self.encode(text).ids

    def num_tokens(self, text: str) -> int:
        """Source tokens of a text as it is translated, frame included."""
        return len(self.source_ids(text))

    def translate(self, texts: Iterable[str], *, observe: Observer | None = None) -> Iterator[Translation]:
        """Translate `texts` one after another.

        Reads a window of texts, sorts it by length into batches and yields in input order, each sentence as soon as
        those before it are done. With a batch size of 1, each is yielded before the next is read. A pool of workers
        is given the same batches, whole windows ahead, so that no token depends on how many workers there are.

        Args:
            texts: one sentence each; may be endless.
            observe: told of each batch that is done, in whatever order: its sentences and its source tokens.
        """
        texts = iter(texts)
        pool = cast("PoolBackend", self._backend) if "submit" in self._capabilities else None
        window = 1 if self._batch_size == 1 and pool is None else WINDOW_BATCHES * self._batch_size
        under_way: deque[Iterator[Translation]] = deque()
        while chunk := list(islice(texts, window)):
            under_way.append(self._translate_window(chunk, pool, observe or _ignore))
            if pool is None or len(under_way) * WINDOW_BATCHES > BATCHES_AHEAD * pool.num_workers:
                yield from under_way.popleft()
        for rest in under_way:
            yield from rest

    def translate_in_steps(self, text: str) -> Iterator[Translation]:
        """Translate one text by greedy search, and give the translation so far after each token.

        Each `text` begins with the one before: a character of several bytes is held back until all of them are there.
        The last is what `translate` gives.

        Raises:
            LingoLiteError: the search has beams, or the engine gives whole translations only.
        """
        source = self.encode(text)
        if source.is_empty:
            yield nothing_to_translate(source)
            return
        found = search_in_steps(
            self._backend,
            *self._padded([source]),
            ids=self.decoding_ids,
            options=self.options,
            capabilities=self._capabilities,
        )
        given: Translation | None = None
        for hypothesis in found:
            found_so_far = self.translation(source, [hypothesis])
            if not found_so_far.text.endswith(_INCOMPLETE):
                given = found_so_far
                yield found_so_far
        if found_so_far is not given:
            yield found_so_far

    def _translate_window(self, texts: list[str], pool: PoolBackend | None, observe: Observer) -> Iterator[Translation]:
        sources = [self.encode(text) for text in texts]
        done = {index: nothing_to_translate(source) for index, source in enumerate(sources) if source.is_empty}
        waiting = [index for index, source in enumerate(sources) if not source.is_empty]
        groups = batches(
            [len(sources[index].ids) for index in waiting],
            batch_size=self._batch_size,
            max_batch_tokens=self._max_batch_tokens,
        )
        members = [[waiting[position] for position in group] for group in groups]
        done_batches = self._one_by_one(sources, members) if pool is None else self._shared(sources, members, pool)
        return _in_order(len(texts), done, _observed(done_batches, sources, done, observe))

    def _one_by_one(self, sources: list[SourceIds], groups: list[list[int]]) -> Iterator[_Batch]:
        """Each batch, when it is asked for."""
        for group in groups:
            batch = [sources[index] for index in group]
            found = search(
                self._backend,
                *self._padded(batch),
                ids=self.decoding_ids,
                options=self.options,
                capabilities=self._capabilities,
            )
            yield group, self._translations(batch, found)

    def _shared(self, sources: list[SourceIds], groups: list[list[int]], pool: PoolBackend) -> Iterator[_Batch]:
        """All batches, started now by idle workers, and yielded as they finish.

        The longest come first: what is left for the end is short, and the workers end together.
        """
        groups = sorted(groups, key=lambda group: -len(group) * max(len(sources[index].ids) for index in group))
        futures = {
            pool.submit(*self._padded([sources[index] for index in group]), self.options, self.decoding_ids): group
            for group in groups
        }

        def given() -> Iterator[_Batch]:
            for future in as_completed(futures):
                group = futures[future]
                yield group, self._translations([sources[index] for index in group], future.result())

        return given()

    def _translations(self, sources: list[SourceIds], found: list[list[Hypothesis]]) -> list[Translation]:
        return [self.translation(source, best) for source, best in zip(sources, found, strict=True)]

    def translation(self, source: SourceIds, hypotheses: list[Hypothesis]) -> Translation:
        """The translation that a search found for a source of `encode`: its hypotheses, best first, as text."""
        best = hypotheses[0]
        alternatives = tuple(
            Alternative(self._tokenizer.decode(hypothesis.tokens), hypothesis.score) for hypothesis in hypotheses
        )
        return Translation(
            text=alternatives[0].text,
            tokens=best.tokens,
            score=best.score,
            alternatives=alternatives,
            num_source_tokens=source.num_tokens,
            is_truncated=source.is_truncated,
            is_finished=best.is_finished,
        )

    def encode(self, text: str) -> SourceIds:
        """The ids of a sentence as they are searched with; `is_empty` where there is nothing to translate."""
        spoken = text if text.strip() else ""  # some tokenizers have pieces for white space
        return self._tokenizer.encode_source(spoken, self._languages, max_length=self._max_source_tokens)

    def _padded(self, sources: list[SourceIds]) -> tuple[IntArray, BoolArray]:
        return pad([source.ids for source in sources], self.decoding_ids.pad)


def _ignore(num_sentences: int, num_tokens: int) -> None:
    """Nobody asked."""


def _observed(
    batches: Iterable[_Batch], sources: list[SourceIds], empty: Iterable[int], observe: Observer
) -> Iterator[_Batch]:
    """The batches, and `observe` told of each, after the empty sources, which are in none."""
    places = list(empty)
    if places:
        observe(len(places), sum(len(sources[place].ids) for place in places))
    for places, translated in batches:
        observe(len(places), sum(len(sources[place].ids) for place in places))
        yield places, translated


def _in_order(count: int, done: dict[int, Translation], batches: Iterable[_Batch]) -> Iterator[Translation]:
    """`count` translations in the order of their texts, each as soon as those before it are done.

    Args:
        count: translations in all.
        done: those that are there already, by place; it is emptied.
        batches: the places and translations of all others.
    """
    due = 0
    for places, translated in batches:
        done.update(zip(places, translated, strict=True))
        while due in done:
            yield done.pop(due)
            due += 1
    for place in range(due, count):
        yield done.pop(place)


def nothing_to_translate(source: SourceIds) -> Translation:
    """The translation of a source that is empty."""
    return Translation(
        text="",
        tokens=(),
        score=0.0,
        alternatives=(Alternative("", 0.0),),
        num_source_tokens=source.num_tokens,
        is_truncated=False,
        is_finished=True,
    )


def within_positions(options: DecodingOptions, positions: int) -> DecodingOptions:
    """`options` with `max_length` within the model's `positions`.

    Raises:
        LingoLiteError: `min_length` is beyond them.
    """
    if options.min_length > positions:
        raise LingoLiteError(
            f"min_length {options.min_length} is more than the model's {positions} positions",
            hint="choose a smaller min_length",
        )
    return msgspec.structs.replace(options, max_length=min(options.max_length, positions))
