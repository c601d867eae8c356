"""Faults that a corpus score hardly shows and a user sees at once: loops, copies, lost numbers and placeholders.

Owns what counts as a fault of one translation, and the count over a test set. Whatever a reference does as well is not
a fault.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import TypeAlias, TypeVar

import msgspec

from lingolite_cli.evaluation.language import LanguagePair
from lingolite_cli.evaluation.numerals import same_numbers
from lingolite_cli.evaluation.repetition import has_unexcused_loop
from lingolite_cli.text.languages import has_spaces
from lingolite_cli.text.scripts import scripts_of
from lingolite_cli.text.visible import has_visible_text

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


_MOST_EXISTING = 100  # sentences with a fault in both systems that a record names, by kind
_MOST_KEPT = 8  # findings that a process keeps: those of the systems of a run
Kept = TypeVar("Kept")


class TranslatedSentence(msgspec.Struct, frozen=True):
    """A translation to test for faults. `is_finished` is False where the search reached its length limit."""

    source: str
    references: list[str]
    hypothesis: str
    is_finished: bool


class FaultCounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sentences with one kind of fault: a count for each system, and the indices where only the candidate has it.

    `existing` are the first indices where both have it; none in records of older versions.
    """

    kind: str
    reference: int
    candidate: int
    new: list[int]
    existing: list[int] = []

    @property
    def num_existing(self) -> int:
        """Sentences where both systems have the fault."""
        return self.candidate - len(self.new)


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


def faults_without_reference(
    source: str, hypothesis: str, *, is_finished: bool, languages: tuple[str, str]
) -> tuple[str, ...]:
    """The kinds of faults that a translation shows where there is nothing but its source to hold it against.

    A foreign script is one that neither the source has nor the target language is written in. Lengths are not compared
    between a language with spaces and one without: their characters carry more.

    Args:
        source: what was translated.
        hypothesis: its translation.
        is_finished: whether the search ended before its limit.
        languages: source and target language.
    """
    translation = TranslatedSentence(source=source, references=[], hypothesis=hypothesis, is_finished=is_finished)
    kinds = [kind for kind, has_fault in FAULTS.items() if kind != "scripts" and has_fault(translation)]
    if "lengths" in kinds and has_spaces(languages[0]) != has_spaces(languages[1]):
        kinds.remove("lengths")
    known = scripts_of(languages[1])
    if known and _scripts(hypothesis) - _scripts(source) - known:
        kinds.append("scripts")
    return tuple(kinds)


Track: TypeAlias = Callable[[Sequence[TranslatedSentence]], Iterable[TranslatedSentence]]
_found: dict[bytes, list[tuple[str, ...]]] = {}
_pairs: dict[bytes, LanguagePair] = {}


def find_faults(translations: Sequence[TranslatedSentence], *, track: Track = iter) -> list[tuple[str, ...]]:
    """The kinds of faults that each translation has, in the order of `FAULT_KINDS`.

    They are looked for once in a process: `verify` and each reporter of a run ask about the same translations.

    Args:
        translations: of a whole test set by one system.
        track: iterates over them, and may show how far it is.
    """

    def find() -> list[tuple[str, ...]]:
        texts = [(translation.source, translation.references[:1]) for translation in translations]
        pair = _kept(_pairs, texts, lambda: LanguagePair(*_sides(texts)))
        return [_kinds(translation, pair) for translation in track(translations)]

    return _kept(_found, translations, find)


def _kept(cache: dict[bytes, Kept], about: Iterable[object], make: Callable[[], Kept]) -> Kept:
    """What the process has made of the same values before, or makes now; the latest few are kept."""
    digest = sha256()
    for value in about:
        digest.update(msgspec.msgpack.encode(value))
    key = digest.digest()
    if key not in cache:
        made = make()
        while len(cache) >= _MOST_KEPT:
            cache.pop(next(iter(cache)))
        cache[key] = made
    return cache[key]


def _sides(texts: Iterable[tuple[str, list[str]]]) -> tuple[Iterator[str], Iterator[str]]:
    """Sources, and the first reference of each."""
    return (source for source, _ in texts), (reference for _, references in texts for reference in references)


def _kinds(translation: TranslatedSentence, pair: LanguagePair) -> tuple[str, ...]:
    kinds = [kind for kind, has_fault in FAULTS.items() if has_fault(translation)]
    if pair.is_source_language(translation.hypothesis, translation.references):
        kinds.append("languages")
    return tuple(kinds)


def compare_faults(
    reference: Sequence[TranslatedSentence], candidate: Sequence[TranslatedSentence], *, track: Track = iter
) -> list[FaultCounts]:
    """Count the faults of two systems on the same sentences, kind by kind.

    Args:
        reference: translations of one system.
        candidate: translations of the other, in the same order.
        track: as of `find_faults`, for both systems.
    """
    found = [find_faults(system, track=track) for system in (reference, candidate)]
    counts = []
    for kind in FAULT_KINDS:
        before, after = ({index for index, kinds in enumerate(system) if kind in kinds} for system in found)
        new, existing = sorted(after - before), sorted(after & before)[:_MOST_EXISTING]
        counts.append(FaultCounts(kind=kind, reference=len(before), candidate=len(after), new=new, existing=existing))
    return counts
