"""Whether a translation is in the language of its source, by a classifier trained on the test set itself.

Owns that classifier, which learns from the sources and references at hand: naive Bayes over n-grams of letters (Dunning
1994, "Statistical Identification of Language"; words are padded as by Cavnar and Trenkle 1994, "N-Gram-Based Text
Categorization"). It knows these two languages only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache

MIN_EVIDENCE = 10.0
"""Log-likelihood ratio in nats from which a text counts as source language; a lower one also finds loan words."""
_ORDERS = (1, 2, 3, 4)
_SMOOTHING = 0.5  # counted on top of each n-gram's occurrences in either language
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|(?:https?|ftp)://\S+|\bwww\.\S+|(?<![^\s>])[^\s@>]+@\S+")
_MAX_LETTERS = 256  # of a word that are looked at: more have no further evidence, and a token may have a million
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


class LanguagePair:
    """A naive Bayes classifier of two languages.

    Args:
        sources: texts of the one language.
        references: texts of the other.
    """

    def __init__(self, sources: Iterable[str], references: Iterable[str]) -> None:
        self._counts = [_count(texts) for texts in (sources, references)]
        distinct = len(self._counts[0].keys() | self._counts[1].keys())
        self._totals = [counts.total() + _SMOOTHING * distinct for counts in self._counts]
        self._word_evidence = lru_cache(maxsize=None)(self._evidence_of_word)

    def is_source_language(self, text: str, references: Sequence[str] = ()) -> bool:
        """Whether a translation has the evidence for the source language, `MIN_EVIDENCE`, that no reference has.

        Args:
            text: the translation.
            references: of the same source; none of their words counts as evidence for the source language.
        """
        excused = {word for reference in references for word in _words(reference)}
        if self._evidence(text, excused=excused) < MIN_EVIDENCE:
            return False
        return all(self._evidence(reference) < MIN_EVIDENCE for reference in references)

    def _evidence(self, text: str, *, excused: Container[str] = ()) -> float:
        """Log-likelihood ratio in nats: positive for the source language, negative for the target language."""
        evidence = 0.0
        for word in _words(text):
            own = self._word_evidence(word)
            evidence += min(own, 0.0) if word in excused else own
        return evidence

    def _evidence_of_word(self, word: str) -> float:
        """Mean over the orders of n-grams, which are not independent. N-grams that neither language has are skipped."""
        first, second = self._counts
        evidence = sum(
            math.log((first[gram] + _SMOOTHING) / self._totals[0])
            - math.log((second[gram] + _SMOOTHING) / self._totals[1])
            for gram in _ngrams(word)
            if first[gram] or second[gram]
        )
        return evidence / len(_ORDERS)


def _count(texts: Iterable[str]) -> Counter[str]:
    return Counter(gram for text in texts for word in _words(text) for gram in _ngrams(word))


def _words(text: str) -> Iterator[str]:
    """In lower case, without tags, addresses, and identifiers such as `VGA` and `StrConv`."""
    for word in _WORD.findall(_MARKUP.sub(" ", text)):
        if not any(map(str.isupper, word[1:])):
            yield word[:_MAX_LETTERS].lower()


def _ngrams(word: str) -> Iterator[str]:
    padded = f" {word} "
    for order in _ORDERS:
        for start in range(len(padded) - order + 1):
            yield padded[start : start + order]
