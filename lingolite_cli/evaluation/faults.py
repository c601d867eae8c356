"""Faults that a corpus score hardly shows and a user sees at once: loops, copies, lost numbers and placeholders.

Owns what counts as a fault of one translation, and the count over a test set. Whatever a reference does as well is not
a fault.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from lingolite_cli.evaluation.language import LanguagePair
from lingolite_cli.evaluation.numerals import same_numbers
from lingolite_cli.evaluation.repetition import has_unexcused_loop
from lingolite_cli.visible import has_visible_text

MAX_RATIO = 3.0
"""Largest ratio of lengths in characters between a translation and its source and references, in either direction."""
MIN_LENGTH = 10
"""Characters; shorter sources are not tested for odd lengths."""
MIN_COPIED_WORDS = 4
"""Words; shorter sources, such as names and commands, may be their own translation."""

# Each of these takes time linear in the text. What could be tried from every character of a long token, or split in
# many ways, is tied to where a token begins.
_URL = re.compile(r"(?:https?|ftp)://[^\s<>\"')\]]+|\bwww\.[^\s<>\"')\]]+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+\w")
_PLACEHOLDER = re.compile(
    r"%(?:\d+\$)?(?:\([\w.]+\))?[-+#0]*(?:(?!0)\d+)?(?:\.\d+)?(?:hh|h|ll|l|z)?[sdiufgexXcp@](?![A-Za-z])"  # printf
    r"|%\d+\b(?!\s?%)"  # Qt
    r"|\$\{\w+\}|\{\{\s*[\w.]+\s*\}\}|\{[\w.]*\}"
)
_TAG = re.compile(r"</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>")


class TranslatedSentence(msgspec.Struct, frozen=True):
    """A translation to test for faults. `is_finished` is False where the search reached its length limit."""

    source: str
    references: list[str]
    hypothesis: str
    is_finished: bool


class FaultCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sentences with one kind of fault: a count for each system, and the indices where only the candidate has it."""

    kind: str
    reference: int
    candidate: int
    new: list[int]


def is_loop(translation: TranslatedSentence) -> bool:
    """Words, letters or any characters repeat without end, and neither source nor reference does likewise."""
    return has_unexcused_loop(translation.hypothesis, (translation.source, *translation.references))


def is_copy(translation: TranslatedSentence) -> bool:
    """The source itself, of several words, where no reference leaves it as it is."""
    source = _plain(translation.source)
    is_long = sum(any(map(str.isalpha, word)) for word in source.split()) >= MIN_COPIED_WORDS
    return is_long and _plain(translation.hypothesis) == source and source not in map(_plain, translation.references)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def is_empty(translation: TranslatedSentence) -> bool:
    """Nothing to see, where the source and every reference have something."""
    texts = (translation.source, *translation.references)
    return not has_visible_text(translation.hypothesis) and all(map(has_visible_text, texts))


def is_unfinished(translation: TranslatedSentence) -> bool:
    """The length limit was reached without an end token."""
    return not translation.is_finished


def has_odd_length(translation: TranslatedSentence) -> bool:
    """More than three times as long as the source and every reference, or less than a third of them all."""
    if len(translation.source) < MIN_LENGTH or not has_visible_text(translation.hypothesis):
        return False
    length, others = len(translation.hypothesis), [len(translation.source), *map(len, translation.references)]
    return length > MAX_RATIO * max(others) or length * MAX_RATIO < min(others)


def has_foreign_script(translation: TranslatedSentence) -> bool:
    """A letter of a script that neither source nor reference has."""
    known = set().union(*map(_scripts, (translation.source, *translation.references)))
    return bool(_scripts(translation.hypothesis) - known) and bool(known)


def _scripts(text: str) -> set[str]:
    """The first words of the letters' Unicode names: LATIN, GREEK, CJK, …"""
    return {
        unicodedata.name(letter, "?").split()[0] for letter in set(text) if letter.isalpha() and letter not in "ªºµ"
    }


def _changes(find: Callable[[str], Counter[str]]) -> Callable[[TranslatedSentence], bool]:
    """Whether what is found in the hypothesis is neither what the source has nor what a reference has."""

    def is_changed(translation: TranslatedSentence) -> bool:
        allowed = [find(text) for text in (translation.source, *translation.references)]
        return find(translation.hypothesis) not in allowed

    return is_changed


def has_other_numbers(translation: TranslatedSentence) -> bool:
    """The numbers are neither those of the source nor those of a reference; URLs aside, which are a kind of their own.

    Languages separate digits differently, so separators may change; a decimal point may not move.
    """
    hypothesis, *allowed = (
        _URL.sub(" ", text) for text in (translation.hypothesis, translation.source, *translation.references)
    )
    return not any(same_numbers(hypothesis, text) for text in allowed)


def _urls(text: str) -> Counter[str]:
    return Counter(url.rstrip(".,:;!?") for url in _URL.findall(text))


def _placeholders(text: str) -> Counter[str]:
    return Counter(_PLACEHOLDER.findall(text))


def _tags(text: str) -> Counter[str]:
    return Counter(_TAG.findall(text))


FAULTS: dict[str, Callable[[TranslatedSentence], bool]] = {
    "loops": is_loop,
    "copies": is_copy,
    "empty": is_empty,
    "unfinished": is_unfinished,
    "lengths": has_odd_length,
    "scripts": has_foreign_script,
    "numbers": has_other_numbers,
    "urls": _changes(_urls),
    "placeholders": _changes(_placeholders),
    "tags": _changes(_tags),
}
"""The test for each kind of fault that a single translation shows."""
FAULT_KINDS = (*FAULTS, "languages")
"""Every kind; `languages` needs the whole test set, from which a classifier is trained."""


def fault_tests(translations: Sequence[TranslatedSentence]) -> dict[str, Callable[[TranslatedSentence], bool]]:
    """How one translation is tested for each kind of fault.

    Args:
        translations: the whole test set, of any system: only sources and references are used.
    """
    pair = LanguagePair(
        (translation.source for translation in translations),
        (reference for translation in translations for reference in translation.references[:1]),
    )
    return {
        **FAULTS,
        "languages": lambda translation: pair.is_source_language(translation.hypothesis, translation.references),
    }


def compare_faults(
    reference: Sequence[TranslatedSentence], candidate: Sequence[TranslatedSentence]
) -> list[FaultCounts]:
    """Count the faults of two systems on the same sentences, kind by kind.

    Args:
        reference: translations of the one.
        candidate: of the other, in the same order.
    """
    found = []
    for kind, has_fault in fault_tests(reference).items():
        before, after = (
            {index for index, one in enumerate(system) if has_fault(one)} for system in (reference, candidate)
        )
        found.append(FaultCounts(kind=kind, reference=len(before), candidate=len(after), new=sorted(after - before)))
    return found
