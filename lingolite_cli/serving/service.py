"""A translation service: texts of clients in, translations out, whatever protocol a server speaks.

Owns the way of a request: which languages there are, how large a text may be, sentences, the batch queue, and what is
recorded of it. Servers are plugins; see `lingolite_cli.plugins.servers.Server`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timezone
from functools import cache
from typing import Annotated

import msgspec
from msgspec import Meta

from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.paragraphs import TextLayout, split_text
from lingolite_cli.decoding.translator import Translation, Translator, nothing_to_translate
from lingolite_cli.evaluation.faults import FAULTS, TranslatedSentence
from lingolite_cli.serving.batcher import Batcher, FoundInBatch, Search
from lingolite_cli.serving.sample import Outcome, SampledRequest, SampledSentence
from lingolite_cli.tokenization.tokenizer import SourceIds

Languages = tuple[str, str]
_STAND_INS = "\ufffd\u2047"
_MOST_NAMED = 8
"""Pairs that a message names."""


class ServingLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request may ask for.

    Attributes:
        max_characters: of all texts of a request.
        max_texts: of a request.
        max_seconds: longest time until a request is translated.
        max_alternatives: of each text; they cost a beam search.
    """

    max_characters: Annotated[int, Meta(ge=1)] = 5000
    max_texts: Annotated[int, Meta(ge=1)] = 64
    max_seconds: Annotated[float, Meta(gt=0.0)] = 30.0
    max_alternatives: Annotated[int, Meta(ge=0, le=32)] = 5


class RequestError(Exception):
    """A request that cannot be translated, whenever it comes.

    Args:
        message: what is wrong, for whoever sent it.
        is_too_large: whether it is beyond a limit.
    """

    def __init__(self, message: str, *, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_too_large = is_too_large


class TooLateError(Exception):
    """A request that could not be translated in time."""


class ServedText(msgspec.Struct, frozen=True):
    """A text of a request and its translation.

    `alternatives` are what the next best hypotheses of its sentences make together, best first, as far as they differ.
    """

    text: str
    sentences: tuple[SampledSentence, ...]
    waited_seconds: float
    alternatives: tuple[str, ...] = ()


class _Prepared(msgspec.Struct, frozen=True):
    """A text on its way: its layout, and the ids of its sentences."""

    layout: TextLayout
    sources: list[SourceIds]

    @property
    def num_to_search(self) -> int:
        """Sentences that are not empty."""
        return sum(not source.is_empty for source in self.sources)


class TranslationService:
    """Translates requests.

    Args:
        translator: makes the translator of a pair of languages, when that is first asked for.
        pairs: source and target language of each pair that is translated.
        batcher: whom sentences are given.
        limits: of requests.
        is_splitting: whether paragraphs are split into sentences.
        model: what requests are recorded with; see `SampledRequest`.
        unknown_id: the token of sources that stands for text without a piece.

    Attributes:
        pairs: source and target language of each pair.
        model: as above.
        batcher: as above.
        limits: as above.
    """

    def __init__(
        self,
        translator: Callable[[Languages], Translator],
        pairs: Sequence[Languages],
        batcher: Batcher,
        *,
        limits: ServingLimits,
        is_splitting: bool,
        model: str,
        unknown_id: int,
    ) -> None:
        self._translator = cache(translator)
        self._is_splitting = is_splitting
        self.model = model
        self._unknown_id = unknown_id
        self.pairs = tuple(dict.fromkeys(pairs))
        self.batcher = batcher
        self.limits = limits

    def check(self, texts: Sequence[str], languages: Languages) -> None:
        """Refuse what can never be translated.

        Raises:
            RequestError: a language, a size or a character.
        """
        if languages not in self.pairs:
            known = ", ".join(f"{source} to {target}" for source, target in self.pairs[:_MOST_NAMED])
            more = f" and {len(self.pairs) - _MOST_NAMED} more" if len(self.pairs) > _MOST_NAMED else ""
            raise RequestError(f"{languages[0]} to {languages[1]} is not translated here; what is: {known}{more}")
        if len(texts) > self.limits.max_texts:
            raise RequestError(
                f"{len(texts)} texts are more than the {self.limits.max_texts} of a request", is_too_large=True
            )
        num_characters = sum(map(len, texts))
        if num_characters > self.limits.max_characters:
            raise RequestError(
                f"{num_characters} characters are more than the {self.limits.max_characters} of a request",
                is_too_large=True,
            )
        for text in texts:
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise RequestError("the text has half of a character (an unpaired surrogate)")

    async def translate(
        self, texts: Sequence[str], languages: Languages, *, num_alternatives: int = 0
    ) -> list[ServedText]:
        """Translate the texts of a request together.

        Args:
            texts: of the request.
            languages: source and target.
            num_alternatives: translations of each text besides the best. The search has a beam for them.

        Raises:
            RequestError: as of `check`.
            QueueFullError: too many sentences are waiting.
            TooLateError: the time of a request is over.
            LingoLiteError: the engine cannot translate one of them.
        """
        self.check(texts, languages)
        if not 0 <= num_alternatives <= self.limits.max_alternatives:
            raise RequestError(
                f"{num_alternatives} alternatives are not given: 0 to {self.limits.max_alternatives}",
                is_too_large=num_alternatives > 0,
            )
        prepared = [self._prepare(text, languages) for text in texts]
        sources = [source for one in prepared for source in one.sources]
        futures = self._submit(sources, languages, num_alternatives=num_alternatives)
        try:
            found = await asyncio.wait_for(asyncio.gather(*futures), self.limits.max_seconds)
        except asyncio.TimeoutError:
            raise TooLateError(f"not translated within {self.limits.max_seconds:g} s") from None
        finally:
            for future in futures:
                future.cancel()
        served, begin = [], 0
        for one in prepared:
            end = begin + one.num_to_search
            served.append(self._served(one, found[begin:end], languages))
            begin = end
        return served

    async def stream(self, text: str, languages: Languages) -> AsyncIterator[ServedText]:
        """Translate one text, and give what there is of it after each sentence. The last one is whole.

        Raises:
            as of `translate`.
        """
        self.check([text], languages)
        prepared = self._prepare(text, languages)
        futures = self._submit(prepared.sources, languages)
        deadline = time.monotonic() + self.limits.max_seconds
        found: list[FoundInBatch] = []
        try:
            for future in futures:
                found.append(await asyncio.wait_for(future, max(0.0, deadline - time.monotonic())))
                if len(found) < len(futures):
                    yield self._served(prepared, found, languages)
        except asyncio.TimeoutError:
            raise TooLateError(f"not translated within {self.limits.max_seconds:g} s") from None
        finally:
            for future in futures:
                future.cancel()
        yield self._served(prepared, found, languages)

    def sample(
        self,
        outcome: Outcome,
        *,
        arrived: float,
        languages: Languages | None = None,
        served: Sequence[ServedText] = (),
    ) -> SampledRequest:
        """A request as it is recorded.

        Args:
            outcome: what became of it.
            arrived: `time.monotonic()` of its arrival.
            languages: source and target.
            served: what was translated.
        """
        seconds = time.monotonic() - arrived
        began = datetime.fromtimestamp(time.time() - seconds, timezone.utc)
        return SampledRequest(
            time=began.isoformat(timespec="milliseconds"),
            model=self.model,
            outcome=outcome,
            languages=languages,
            latency_ms=round(seconds * 1000, 3),
            waited_ms=round(max((one.waited_seconds for one in served), default=0.0) * 1000, 3),
            sentences=tuple(sentence for one in served for sentence in one.sentences),
        )

    def _prepare(self, text: str, languages: Languages) -> _Prepared:
        layout = split_text(text, languages[0], is_splitting=self._is_splitting)
        return _Prepared(layout, list(map(self._translator(languages).encode, layout.sentences)))

    def _submit(
        self, sources: Sequence[SourceIds], languages: Languages, *, num_alternatives: int = 0
    ) -> list[asyncio.Future[FoundInBatch]]:
        translator, found = self._translator(languages), [source.ids for source in sources if not source.is_empty]
        if len(found) > self.batcher.max_waiting:
            raise RequestError(
                f"{len(found)} sentences are more than the {self.batcher.max_waiting} that may wait", is_too_large=True
            )
        options = translator.options
        if num_alternatives:
            num_best = num_alternatives + 1
            options = msgspec.structs.replace(options, beam_size=max(options.beam_size, num_best), n_best=num_best)
        return self.batcher.submit(found, Search(options, translator.decoding_ids))

    def _served(self, prepared: _Prepared, found: Sequence[FoundInBatch], languages: Languages) -> ServedText:
        """A text as far as its sentences are found."""
        translator, remaining = self._translator(languages), iter(found)
        parts: list[Translation] = []
        samples: list[SampledSentence] = []
        for sentence, source in zip(prepared.layout.sentences, prepared.sources, strict=True):
            if source.is_empty:
                parts.append(nothing_to_translate(source))
                continue
            one = next(remaining, None)
            if one is None:
                break
            parts.append(translator.translation(source, one.hypotheses))
            samples.append(self._sampled(sentence, source, parts[-1].text, one.hypotheses[0]))
        waited = max((one.waited_seconds for one in found), default=0.0)
        most = max((len(part.alternatives) for part in parts), default=1)
        best, *others = dict.fromkeys(
            prepared.layout.joined([_ranked(part, rank) for part in parts], languages) for rank in range(most)
        )
        return ServedText(best, tuple(samples), waited, tuple(others))

    def _sampled(self, sentence: str, source: SourceIds, translation: str, best: Hypothesis) -> SampledSentence:
        judged = TranslatedSentence(sentence, [], translation, best.is_finished)
        return SampledSentence(
            source_characters=len(sentence),
            target_characters=len(translation),
            source_tokens=source.num_text_tokens,
            target_tokens=len(best.tokens),
            log_probability=round(best.log_probability / max(1, len(best.tokens)), 4),
            unknown=source.ids.count(self._unknown_id) + _stand_ins(translation, sentence),
            faults=tuple(kind for kind, has_fault in FAULTS.items() if has_fault(judged)),
            source=sentence,
            translation=translation,
        )


def _ranked(part: Translation, rank: int) -> Translation:
    """A sentence with its translation of that rank, or the last that it has."""
    return msgspec.structs.replace(part, text=part.alternatives[min(rank, len(part.alternatives) - 1)].text)


def _stand_ins(translation: str, source: str) -> int:
    """Characters of a translation that stand for some that the vocabulary does not have, or for broken bytes."""
    return sum(max(0, translation.count(character) - source.count(character)) for character in _STAND_INS)
