"""Whether a system translates at all: what makes the translations that others are judged against implausible.

A system that writes nonsense is no measure for another one: nothing can be lost against it, and no fault is new. Owns
the limits, which lie far outside what systems in use do, and far inside what broken ones do. N sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.evaluation.faults import TranslatedSentence, find_faults

MOST_BROKEN = 0.1
"""Share of translations with a fault of `BROKEN`. The starter has 2 %; with a wrong number of attention heads it has
33 % or 73 %. Of systems in use, hallucinations are a few per cent at worst (Guerreiro et al. 2023,
arXiv:2303.16104)."""
BROKEN = ("loops", "copies", "empty", "unfinished")

LEAST_BLEU = 1.0
LEAST_CHRF = 20.0
"""Below both is a score near zero. References of other sentences of the test set have BLEU 0.1 to 0.3 and chrF 13 to 15
against its own ones; the starter with a wrong number of heads has 0.4 and 15 to 18."""

_SCORED = 2000
"""Sentences that are scored, from all over the test set: enough to tell a score from zero."""

_SPACED = 40
"""Characters without white space, on average, from which n-grams are of characters: a text without words."""


def doubts(translations: Sequence[TranslatedSentence]) -> list[str]:
    """What makes the translations of a whole test set implausible, a line each with its numbers; none where nothing.

    Args:
        translations: N, by one system.
    """
    found = []
    kinds = [set(BROKEN) & set(faults) for faults in find_faults(translations)]
    num_broken = sum(map(bool, kinds))
    share = num_broken / max(len(kinds), 1)
    if share > MOST_BROKEN:
        counts = ", ".join(f"{count:,} {kind}" for kind in BROKEN if (count := sum(kind in one for one in kinds)))
        found.append(
            f"{num_broken:,} of {len(kinds):,} translations ({share:.0%}, more than {MOST_BROKEN:.0%}) have a fault of "
            f"a broken system: {counts}"
        )
    bleu, chrf = _scores(translations)
    if bleu < LEAST_BLEU and chrf < LEAST_CHRF:
        found.append(
            f"BLEU {bleu:.2f} and chrF {chrf:.1f} are near zero, below {LEAST_BLEU:g} and {LEAST_CHRF:g}: "
            "translations of other sentences score as much"
        )
    return found


def _scores(translations: Sequence[TranslatedSentence]) -> tuple[float, float]:
    """BLEU and chrF; BLEU of characters where there are no words."""
    from sacrebleu.metrics import BLEU, CHRF

    scored = translations[:: -(-len(translations) // _SCORED)]
    hypotheses = [translation.hypothesis for translation in scored]
    streams = [list(stream) for stream in zip(*(one.references for one in scored), strict=True)]
    words = sum(len(text.split()) for text in streams[0])
    is_spaced = sum(map(len, streams[0])) < _SPACED * words
    # By effective orders, so that sentences too short for four words are scored by what they have.
    bleu = BLEU(tokenize="13a" if is_spaced else "char", effective_order=True)
    return float(bleu.corpus_score(hypotheses, streams).score), float(CHRF().corpus_score(hypotheses, streams).score)
