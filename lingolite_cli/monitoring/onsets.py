"""What began within a log: the figure, the hour, and how sure that is.

Owns the search for a time from which a figure is another. Each figure is tried at every time at which it may have
begun, so that p-values are multiplied by the number of trials (Bonferroni). Differences that are real and of no
consequence are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from lingolite_cli.monitoring.figures import Onset
from lingolite_cli.monitoring.significance import (
    Moments,
    Share,
    log_likelihood_ratio,
    mean_p_value,
    rise_p_value,
    standard_errors,
)

MOST_P_VALUE = 0.001
"""Of an onset, over all trials: one unharmed log in a thousand shows one."""
_LEAST_RISE = 0.005
"""Of a share of sentences."""
_LEAST_SHIFT = 0.2
"""Of a mean, in standard deviations of single sentences."""
_LEAST_SENTENCES = 50
"""On either side of a shift."""


class Marked(NamedTuple):
    """A sentence with a fault: where it stands among all sentences, and its hour."""

    position: int
    hour: str


def find_onsets(
    marked: Mapping[str, Sequence[Marked]],
    means: Mapping[str, Mapping[str, Moments]],
    *,
    num_sentences: int,
) -> list[Onset]:
    """What began within a log, by time.

    Args:
        marked: sentences with a fault, by kind, in the order of the log.
        means: values by figure and hour, hours in order.
        num_sentences: in all.
    """
    num_trials = sum(map(len, marked.values())) + sum(map(len, means.values()))
    found = [_rise(kind, places, num_sentences) for kind, places in marked.items()]
    found += [_shift(figure, hours) for figure, hours in means.items()]
    sure = (_among(onset, num_trials) for onset in found if onset is not None)
    return sorted((onset for onset in sure if onset.p_value <= MOST_P_VALUE), key=lambda onset: onset.hour)


def _among(onset: Onset, num_trials: int) -> Onset:
    return Onset(
        figure=onset.figure,
        hour=onset.hour,
        before=onset.before,
        after=onset.after,
        p_value=min(1.0, onset.p_value * num_trials),
    )


def _rise(kind: str, places: Sequence[Marked], num_sentences: int) -> Onset | None:
    """The likeliest time from which sentences have a fault more often. It can only be that of a sentence with one."""

    def parts(number: int) -> tuple[Share, Share]:
        begin = places[number].position
        return Share(number, begin), Share(len(places) - number, num_sentences - begin)

    rising = [number for number in range(len(places)) if parts(number)[1].value - parts(number)[0].value >= _LEAST_RISE]
    number = _likeliest(rising, lambda number: log_likelihood_ratio(*parts(number)))
    if number is None:
        return None
    before, after = parts(number)
    return Onset(
        figure=kind,
        hour=places[number].hour,
        before=before.value,
        after=after.value,
        p_value=rise_p_value(before, after),
    )


def _shift(figure: str, hours: Mapping[str, Moments]) -> Onset | None:
    """The likeliest hour from which a mean is another."""
    names = list(hours)
    befores = _running([hours[name] for name in names])
    afters = _running([hours[name] for name in reversed(names)])[::-1]
    spread = befores[-1].variance ** 0.5 if befores else 0.0
    shifting = [
        place
        for place in range(1, len(names))
        if min(befores[place - 1].number, afters[place].number) >= _LEAST_SENTENCES
        and abs(afters[place].mean - befores[place - 1].mean) >= max(_LEAST_SHIFT * spread, 1e-12)
    ]
    place = _likeliest(shifting, lambda place: standard_errors(befores[place - 1], afters[place]))
    if place is None:
        return None
    before, after = befores[place - 1], afters[place]
    return Onset(
        figure=figure, hour=names[place], before=before.mean, after=after.mean, p_value=mean_p_value(before, after)
    )


def _likeliest(places: Sequence[int], score: Callable[[int], float]) -> int | None:
    return max(places, key=score, default=None)


def _running(parts: Sequence[Moments]) -> list[Moments]:
    found: list[Moments] = []
    for part in parts:
        found.append(found[-1] + part if found else part)
    return found
