"""Text to train on as examples: tokenized once, and kept as ids.

Owns the ids of a pair: its framed source, and its target up to the end token; and which pairs are too long. Which rows
are pairs is `lingolite_cli.corpora.pairs`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lingolite_cli.corpora.pairs import BadRows, Pair, Text, TextReport, good_pairs, place_of, read_rows
from lingolite_cli.environment import package_versions
from lingolite_cli.tokenization.tokenizer import Tokenizer
from lingolite_cli.training.examples import Examples
from lingolite_cli.training.options import TextOptions
from lingolite_cli.training.pair_ids import (
    PairIds,
    PairIdsWriter,
    map_pairs,
    pairs_in_memory,
    smallest_type,
    write_pairs,
)
from lingolite_cli.training.text_cache import KeptRows, TextCache


def read_examples(
    texts: Sequence[Text],
    tokenizer: Tokenizer,
    *,
    languages: tuple[str, str],
    positions: int,
    options: TextOptions,
    cache: TextCache,
    tokenizer_digest: str,
) -> tuple[Examples, list[TextReport]]:
    """Read texts, which are tokenized unless the cache has their ids.

    Args:
        texts: where they are. A text that is named several times counts as often in
            an epoch, and is read once.
        tokenizer: the model's own.
        languages: source and target language.
        positions: the model's.
        options: which pairs are good.
        cache: of texts as ids.
        tokenizer_digest: SHA-256 of the tokenizer's file.

    Returns:
        the pairs, and a report on each different text.

    Raises:
        LingoLiteError: a file cannot be read, a bad row is refused, or no pair is left.
    """
    max_tokens = min(options.max_tokens or positions, positions)
    tokenizing = _Tokenizing(tokenizer, languages, max_tokens=max_tokens, options=options)
    distinct = list(dict.fromkeys(texts))
    kept = [tokenizing.kept(text, cache, tokenizer_digest=tokenizer_digest) for text in distinct]
    examples = Examples(
        [pairs for pairs, _ in kept],
        ids=tokenizer.description.ids,
        short_shares=[text.short_share for text in distinct],
        members=[distinct.index(text) for text in texts],
    )
    return examples, [report for _, report in kept]


def examples_of(
    sources: Sequence[str], targets: Sequence[str], tokenizer: Tokenizer, *, languages: tuple[str, str], positions: int
) -> Examples:
    """Sentences as examples, without any check but the model's positions: a longer pair is left out.

    Raises:
        LingoLiteError: none is left.
    """
    tokenizing = _Tokenizing(tokenizer, languages, max_tokens=positions, options=TextOptions())
    pairs = [Pair(*both, line) for line, both in enumerate(zip(sources, targets, strict=True), start=1)]
    found = pairs_in_memory(lambda writer: tokenizing.write(pairs, BadRows("the text"), writer), dtype=tokenizing.dtype)
    return Examples([found], ids=tokenizer.description.ids, short_shares=[1.0], members=[0])


class _Tokenizing:
    def __init__(
        self, tokenizer: Tokenizer, languages: tuple[str, str], *, max_tokens: int, options: TextOptions
    ) -> None:
        self._tokenizer = tokenizer
        self._languages = languages
        self._prefix = tokenizer.decoding_ids(languages).prefix
        self._max_tokens = max_tokens
        self._options = options
        vocab_size = max(len(tokenizer.source_pieces), len(tokenizer.target_pieces))
        self.dtype = smallest_type(vocab_size=vocab_size, max_tokens=max_tokens)

    def kept(self, text: Text, cache: TextCache, *, tokenizer_digest: str) -> tuple[PairIds, TextReport]:
        """The ids of a text in the cache, and the report on it."""
        description = self._description(tokenizer_digest)
        place, rows = cache.text(text.paths, description, lambda directory: self._keep(text, directory))
        name = str(text.paths[0])
        report = TextReport(
            name=text.name,
            num_rows=rows.num_rows,
            num_pairs=rows.num_pairs,
            num_short=rows.num_short,
            bad=rows.bad,
            first_bad={kind: place_of(name, line) for kind, line in rows.first_bad.items()},
        )
        return map_pairs(place, dtype=self.dtype), report

    def write(self, pairs: Iterable[Pair], bad: BadRows, writer: PairIdsWriter) -> None:
        """Tokenize pairs; those that are too long go to `bad`."""
        end = self._tokenizer.description.ids.end
        for pair in pairs:
            source = self._tokenizer.encode_source(pair.source, self._languages, max_length=self._max_tokens)
            target = [*self._prefix, *self._tokenizer.encode_target(pair.target), end]
            if source.is_truncated or len(target) > self._max_tokens:
                bad.add("over-long", pair.line)
                continue
            is_short = len(pair.source.split()) <= self._options.short_words
            writer.add(source.ids, target, is_short=is_short)

    def _description(self, tokenizer_digest: str) -> dict[str, object]:
        """All that decides the ids of a text and what is told of it, besides LingoLite's code."""
        return {
            "tokenizer": tokenizer_digest,
            "languages": self._languages,
            "max_tokens": self._max_tokens,
            "on_bad_data": self._options.on_bad_data,
            "short_words": self._options.short_words,
            "engines": package_versions(("sentencepiece",)),
        }

    def _keep(self, text: Text, directory: Path) -> KeptRows:
        bad = BadRows(str(text.paths[0]), is_refused=self._options.on_bad_data == "refuse")
        rows = read_rows(text.paths)
        written = write_pairs(
            directory, lambda writer: self.write(good_pairs(rows, bad), bad, writer), dtype=self.dtype
        )
        return KeptRows(
            num_rows=rows.num_rows,
            num_pairs=written.num_pairs,
            num_short=written.num_short,
            bad=bad.counts,
            first_bad=bad.first,
        )
