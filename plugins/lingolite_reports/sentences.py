"""The sentences of a run: what each system made of them, how good it is, and what is wrong with it.

Owns how translations are read, scored and packed for the page's browser. Reports of a manifest alone, whose
translations are elsewhere, go without. N sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.evaluation.faults import find_faults
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import TranslationRecord, as_judged, read_translations
from lingolite_cli.text.visible import shown
from lingolite_reports.results import evaluations, verifications

MOST_BYTES = 2_000_000
"""Bytes of sentences in a page; a larger page is slow to open on a phone."""


class SystemTranslations(msgspec.Struct, frozen=True):
    """What one `evaluate` step made of N sentences.

    `scores` are sentence chrF, 0 to 100; `faults` has the kinds of faults of each sentence that has some, by index.
    """

    hypotheses: list[str]
    scores: list[float]
    faults: dict[int, list[str]]


class TranslatedText(msgspec.Struct, frozen=True):
    """N sentences that one or more systems translated, by step. Each has one reference or more."""

    languages: tuple[str, str]
    sources: list[str]
    references: list[list[str]]
    systems: dict[str, SystemTranslations]


class Pairing(msgspec.Struct, frozen=True):
    """Two systems that are compared on one text, by step."""

    text: TranslatedText
    reference: str
    candidate: str

    @property
    def deltas(self) -> list[float]:
        """Sentence chrF of the candidate minus the reference, [N]."""
        before, after = self.text.systems[self.reference].scores, self.text.systems[self.candidate].scores
        return [own - other for own, other in zip(after, before, strict=True)]


def run_texts(manifest: RunManifest, directory: Path) -> list[TranslatedText]:
    """The texts of a run with at least two systems, from its directory."""
    found: dict[tuple[str, int], dict[str, list[TranslationRecord]]] = {}
    languages: dict[tuple[str, int], tuple[str, str]] = {}
    for step, result in evaluations(manifest):
        path = directory / result.translations
        if path.is_file():
            key = (result.corpus.digest, result.num_samples)
            languages[key] = result.corpus.languages
            found.setdefault(key, {})[step] = read_translations(path)
    return [_text(systems, languages[key]) for key, systems in found.items() if len(systems) > 1]


def _text(systems: dict[str, list[TranslationRecord]], languages: tuple[str, str]) -> TranslatedText:
    records = next(iter(systems.values()))
    known: dict[tuple[str, ...], float] = {}
    return TranslatedText(
        languages,
        [record.source for record in records],
        [record.references for record in records],
        {step: _system(own, known) for step, own in systems.items()},
    )


def _system(records: Sequence[TranslationRecord], known: dict[tuple[str, ...], float]) -> SystemTranslations:
    """`known` caches scores by hypothesis and references: systems translate most sentences alike."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    scores = []
    for record in records:
        key = (record.hypothesis, *record.references)
        if key not in known:
            known[key] = float(metric.sentence_score(record.hypothesis, record.references).score)
        scores.append(known[key])
    faults = {index: list(kinds) for index, kinds in enumerate(find_faults(as_judged(records))) if kinds}
    return SystemTranslations([record.hypothesis for record in records], scores, faults)


def pairings(manifest: RunManifest, texts: Sequence[TranslatedText]) -> list[Pairing]:
    """The pairs that were verified, or else every system with the first one of its text."""
    verified = [(result.reference, result.candidate) for _, result in verifications(manifest)]
    found = [
        Pairing(text, reference, candidate)
        for reference, candidate in dict.fromkeys(verified)
        for text in texts
        if reference in text.systems and candidate in text.systems
    ]
    return found or [
        Pairing(text, first, other) for text in texts for first, *others in [list(text.systems)] for other in others
    ]


def pack_texts(found: Sequence[Pairing], *, most_bytes: int = MOST_BYTES) -> dict[str, Any] | None:
    """What the page's browser reads, as plain values.

    Of a text too large for the page, the sentences that differ most are kept.

    Args:
        found: with one text or several.
        most_bytes: of all texts together.

    Returns:
        `texts`, each with `numbers` (from 1), `total`, `languages`, `sources`, `references` and `systems` by name,
        where texts are as `shown` writes them, `scores` are in hundredths of chrF, and a hypothesis that the first
        system has, too, is 0; and `pairs`,
        each [index of the text, reference, candidate]. None where nothing was paired.
    """
    if not found:
        return None
    texts: list[TranslatedText] = []
    for pairing in found:
        if all(pairing.text is not text for text in texts):
            texts.append(pairing.text)
    share = most_bytes // len(texts)
    packed = [_pack(text, [p for p in found if p.text is text], share) for text in texts]
    places = {id(text): place for place, text in enumerate(texts)}
    return {"texts": packed, "pairs": [[places[id(p.text)], p.reference, p.candidate] for p in found]}


def _pack(text: TranslatedText, found: Sequence[Pairing], most_bytes: int) -> dict[str, Any]:
    kept = _kept(text, found, most_bytes)
    names = list(dict.fromkeys(name for p in found for name in (p.reference, p.candidate)))
    first = text.systems[names[0]].hypotheses
    return {
        "numbers": [index + 1 for index in kept],
        "total": len(text.sources),
        "languages": list(text.languages),
        "sources": [shown(text.sources[index]) for index in kept],
        "references": [list(map(shown, text.references[index])) for index in kept],
        "systems": {
            name: {
                "hypotheses": [
                    0 if name != names[0] and hypothesis == first[index] else shown(hypothesis)
                    for index, hypothesis in _picked(text.systems[name].hypotheses, kept)
                ],
                "scores": [round(100 * score) for _, score in _picked(text.systems[name].scores, kept)],
                "faults": {
                    str(place): text.systems[name].faults[index]
                    for place, index in enumerate(kept)
                    if index in text.systems[name].faults
                },
            }
            for name in names
        },
    }


def _picked(values: Sequence[Any], kept: Iterable[int]) -> list[tuple[int, Any]]:
    return [(index, values[index]) for index in kept]


def _kept(text: TranslatedText, found: Sequence[Pairing], most_bytes: int) -> list[int]:
    """Indices of the sentences that fit, in the order of the text: those whose scores differ most, then the others."""
    deltas = [pairing.deltas for pairing in found]
    largest = [max(abs(own[index]) for own in deltas) for index in range(len(text.sources))]
    kept, size = [], 0
    for index in sorted(range(len(largest)), key=lambda index: (-largest[index], index)):
        said = {system.hypotheses[index] for system in text.systems.values()}
        own = len(msgspec.json.encode([text.sources[index], text.references[index], *said])) + 16 * len(text.systems)
        if size + own <= most_bytes:
            size += own
            kept.append(index)
    return sorted(kept)
