"""How far what was served is from the run that was signed off: the same figures of both, with intervals."""

from __future__ import annotations

from collections.abc import Iterable
from math import expm1

from lingolite_cli.evaluation.faults import FAULTS, TranslatedSentence
from lingolite_cli.monitoring.figures import Drift
from lingolite_cli.monitoring.measure import LENGTH_RATIO, LOG_PROBABILITY, Hour, log_length_ratio
from lingolite_cli.monitoring.significance import Moments, Share, mean_difference, share_difference


class SignedOff:
    """The translations of a run, counted as those of a log are: without their references, which nobody served has.

    Args:
        sentences: each with its mean log-probability of a target token.
    """

    def __init__(self, sentences: Iterable[tuple[TranslatedSentence, float]]) -> None:
        self.number = 0
        self.faults = dict.fromkeys(FAULTS, 0)
        self.length, self.log_probability = Moments(), Moments()
        for sentence, log_probability in sentences:
            alone = TranslatedSentence(sentence.source, [], sentence.hypothesis, sentence.is_finished)
            self.number += 1
            for kind, has_fault in FAULTS.items():
                self.faults[kind] += has_fault(alone)
            self.length = self.length.with_value(log_length_ratio(len(alone.source), len(alone.hypothesis)))
            self.log_probability = self.log_probability.with_value(log_probability)


def measure_drift(signed_off: SignedOff, served: Hour) -> list[Drift]:
    """Served minus signed off, for each kind of fault and for both means.

    The drift of the length ratio is relative: 0.1 means that translations are a tenth longer, in the geometric mean.
    """
    found = []
    for kind in FAULTS:
        first = Share(signed_off.faults[kind], signed_off.number)
        second = Share(served.faults[kind], served.num_sentences)
        low, high = share_difference(first, second)
        found.append(Drift(figure=kind, signed_off=first.value, served=second.value, low=low, high=high))
    low, high = mean_difference(signed_off.length, served.length)
    relative = expm1(served.length.mean - signed_off.length.mean)
    found.append(Drift(figure=LENGTH_RATIO, signed_off=0.0, served=relative, low=expm1(low), high=expm1(high)))
    low, high = mean_difference(signed_off.log_probability, served.log_probability)
    means = signed_off.log_probability.mean, served.log_probability.mean
    found.append(Drift(figure=LOG_PROBABILITY, signed_off=means[0], served=means[1], low=low, high=high))
    return found
