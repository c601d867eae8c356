"""From texts to translations: tokenizer, batches, search and back, as a stream in input order.

Owns the window of sentences that are sorted by length together. What a batch's search does is in `search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.decoding.batching import batches, pad
from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.architecture import ModelConfig
    from lingolite_cli.plugins.interfaces import AnyBackend
    from lingolite_cli.tokenizer import SourceIds, Tokenizer

WINDOW_BATCHES = 16
"""Batches read ahead, to have sentences of like length to put together."""


class Alternative(msgspec.Struct, frozen=True):
    """One of the n best translations of a text. `score` is that of its hypothesis."""

    text: str
    score: float


class Translation(msgspec.Struct, frozen=True, kw_only=True):
    """The translation of one text.

    Attributes:
        text: the best hypothesis as text.
        tokens: its ids, `</s>` included where it was reached; none for an empty text.
        score: its log-probability over the length penalty.
        alternatives: the n best, the best included, best first.
        num_source_tokens: length of the framed source before it was cut.
        is_truncated: the source was longer than the model's positions, and was cut.
        is_finished: the hypothesis reached `</s>` within `max_length`.
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

    Raises:
        LingoLiteError: a language has no tag, `batch_size` is below 1, or `min_length` is beyond the model's positions.
    """

    def __init__(
        self,
        backend: AnyBackend,
        tokenizer: Tokenizer,
        model: ModelConfig,
        languages: tuple[str, str],
        *,
        options: DecodingOptions,
        batch_size: int = 32,
        max_batch_tokens: int = 4096,
        capabilities: frozenset[str] = frozenset(),
    ) -> None:
        for language in languages:
            tokenizer.language_id(language)
        if batch_size < 1:
            raise LingoLiteError(f"batch_size must be at least 1, not {batch_size}")
        self.options = within_positions(options, model)
        self._backend = backend
        self._tokenizer = tokenizer
        self._max_source_tokens = model.max_seq_len
        self._languages = languages
        self._batch_size = batch_size
        self._max_batch_tokens = max_batch_tokens
        self._capabilities = capabilities

    def translate(self, texts: Iterable[str]) -> Iterator[Translation]:
        """Translate `texts` as they come.

        Reads a window of texts, sorts it by length into batches and yields in input order, each sentence as soon as
        those before it are done. With a batch size of 1, each is yielded before the next is read.

        Args:
            texts: one sentence each; may be endless.
        """
        texts = iter(texts)
        window = 1 if self._batch_size == 1 else WINDOW_BATCHES * self._batch_size
        while chunk := list(islice(texts, window)):
            yield from self._translate_window(chunk)

    def _translate_window(self, texts: list[str]) -> Iterator[Translation]:
        sources = [self._encode(text) for text in texts]
        done = {index: _nothing(source) for index, source in enumerate(sources) if source.is_empty}
        waiting = [index for index, source in enumerate(sources) if not source.is_empty]
        groups = batches(
            [len(sources[index].ids) for index in waiting],
            batch_size=self._batch_size,
            max_batch_tokens=self._max_batch_tokens,
        )
        due = 0
        for group in groups:
            members = [waiting[position] for position in group]
            translated = self._translate_batch([sources[index] for index in members])
            done.update(zip(members, translated, strict=True))
            while due in done:
                yield done.pop(due)
                due += 1
        for index in range(due, len(texts)):
            yield done.pop(index)

    def _translate_batch(self, sources: list[SourceIds]) -> list[Translation]:
        found = search(
            self._backend,
            *pad([source.ids for source in sources]),
            options=self.options,
            capabilities=self._capabilities,
        )
        return [self._translation(source, best) for source, best in zip(sources, found, strict=True)]

    def _translation(self, source: SourceIds, hypotheses: list[Hypothesis]) -> Translation:
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

    def _encode(self, text: str) -> SourceIds:
        words = text if text.strip() else ""  # some tokenizers have pieces for white space
        return self._tokenizer.encode_source(words, self._languages, max_length=self._max_source_tokens)


def _nothing(source: SourceIds) -> Translation:
    return Translation(
        text="",
        tokens=(),
        score=0.0,
        alternatives=(Alternative("", 0.0),),
        num_source_tokens=source.num_tokens,
        is_truncated=False,
        is_finished=True,
    )


def within_positions(options: DecodingOptions, model: ModelConfig) -> DecodingOptions:
    """`options` with `max_length` within the positions of `model`.

    Raises:
        LingoLiteError: `min_length` is beyond them.
    """
    if options.min_length > model.max_seq_len:
        raise LingoLiteError(
            f"min_length {options.min_length} is more than the model's {model.max_seq_len} positions",
            hint="choose a smaller min_length",
        )
    return msgspec.structs.replace(options, max_length=min(options.max_length, model.max_seq_len))
