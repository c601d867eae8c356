"""From the lines of a sample log to its figures, read once from its begin to its end.

Owns what is counted for each hour. Latencies, the probabilities of sentences, and the places of those with faults are
held in memory; texts are not.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from heapq import nsmallest
from math import ceil, exp, log

from msgspec.structs import replace

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.faults import FAULTS
from lingolite_cli.monitoring.figures import IMPROBABLE, UNKNOWN, Onset, ServedFigures, WindowFigures
from lingolite_cli.monitoring.onsets import Marked, find_onsets
from lingolite_cli.monitoring.significance import Moments
from lingolite_cli.serving.sample import SampledRequest, SampledSentence

LENGTH_RATIO = "length ratio"
LOG_PROBABILITY = "log-probability"
_DAY_DIGITS = len("2026-11-30")
_IMPROBABLE_SHARE = 0.01


class Hour:
    """What is counted of an hour, or of several together."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.num_sentences = 0
        self.source_characters = 0
        self.target_characters = 0
        self.faults: Counter[str] = Counter()
        self.length = Moments()
        self.log_probability = Moments()

    def add(self, sentence: SampledSentence) -> tuple[str, ...]:
        """Count a sentence, and give the kinds of its faults."""
        kinds = (*sentence.faults, *([UNKNOWN] if sentence.unknown else []))
        self.num_sentences += 1
        self.source_characters += sentence.source_characters
        self.target_characters += sentence.target_characters
        self.faults.update(kinds)
        self.length = self.length.with_value(log_length_ratio(sentence.source_characters, sentence.target_characters))
        self.log_probability = self.log_probability.with_value(sentence.log_probability)
        return kinds

    def absorb(self, other: Hour) -> None:
        """Count what the other has, too."""
        self.requests.update(other.requests)
        self.latencies += other.latencies
        self.num_sentences += other.num_sentences
        self.source_characters += other.source_characters
        self.target_characters += other.target_characters
        self.faults.update(other.faults)
        self.length += other.length
        self.log_probability += other.log_probability


class MeasuredLog:
    """A log that was read.

    Attributes:
        total: of all hours.
        figures: without drifts.
    """

    def __init__(self, requests: Iterable[SampledRequest]) -> None:
        hours: defaultdict[str, Hour] = defaultdict(Hour)
        marked: defaultdict[str, list[Marked]] = defaultdict(list)
        models: Counter[str] = Counter()
        languages: Counter[str] = Counter()
        log_probabilities, names = array("d"), list[str]()
        end = ""
        for request in requests:
            time = _utc(request.time)
            name, end = f"{time[:13]}:00Z", max(end, time)
            hour = hours[name]
            hour.requests[request.outcome] += 1
            models[request.model] += 1
            if request.languages is not None:
                languages["-".join(request.languages)] += 1
            if request.outcome != "done":
                continue
            hour.latencies.append(request.latency_ms)
            for sentence in request.sentences:
                for kind in hour.add(sentence):
                    marked[kind].append(Marked(len(names), name))
                log_probabilities.append(sentence.log_probability)
                names.append(name)
        if not hours:
            raise LingoLiteError("the log has no request", hint="`lingolite serve --sample-log FILE` writes one")
        ordered = dict(sorted(hours.items()))
        marked[IMPROBABLE] = _improbable(log_probabilities, names)
        self.total = _together(ordered.values())
        self.figures = ServedFigures(
            end=end,
            models=dict(models.most_common()),
            languages=dict(languages.most_common()),
            total=_window(next(iter(ordered)), self.total),
            hours=[_window(name, hour) for name, hour in ordered.items()],
            days=[_window(day, _together(own)) for day, own in _by_day(ordered).items()],
            onsets=_onsets(ordered, marked, num_sentences=len(names)),
        )


def _onsets(hours: Mapping[str, Hour], marked: Mapping[str, Sequence[Marked]], *, num_sentences: int) -> list[Onset]:
    """What began, with ratios of lengths as ratios: their means were taken of logarithms."""
    found = find_onsets(
        {kind: marked[kind] for kind in (*FAULTS, UNKNOWN, IMPROBABLE) if kind in marked},
        {
            LENGTH_RATIO: {name: hour.length for name, hour in hours.items()},
            LOG_PROBABILITY: {name: hour.log_probability for name, hour in hours.items()},
        },
        num_sentences=num_sentences,
    )
    return [
        replace(onset, before=exp(onset.before), after=exp(onset.after)) if onset.figure == LENGTH_RATIO else onset
        for onset in found
    ]


def _improbable(log_probabilities: Sequence[float], names: Sequence[str]) -> list[Marked]:
    """The sentences that the model found least probable, with their hours.

    A mean hardly moves where few requests are answered by a damaged model, while its translations are the least
    probable ones. How many there are does not depend on the log: only where they lie can tell anything.
    """
    number = int(_IMPROBABLE_SHARE * len(names))
    if not number:
        return []
    limit = nsmallest(number + 1, log_probabilities)[-1]
    return [
        Marked(position, names[position])
        for position, log_probability in enumerate(log_probabilities)
        if log_probability < limit
    ]


def log_length_ratio(source_characters: int, target_characters: int) -> float:
    """Natural logarithm of the ratio of lengths, in which half as long is as far from equal as twice as long."""
    return log((target_characters + 1) / (source_characters + 1))


def _utc(time: str) -> str:
    try:
        return datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone(timezone.utc).isoformat()
    except (ValueError, OverflowError):
        raise LingoLiteError(f"the log has a request of the time {time[:40]!r}, which is none") from None


def _by_day(hours: Mapping[str, Hour]) -> dict[str, list[Hour]]:
    days: defaultdict[str, list[Hour]] = defaultdict(list)
    for name, hour in hours.items():
        days[name[:_DAY_DIGITS]].append(hour)
    return days


def _together(hours: Iterable[Hour]) -> Hour:
    total = Hour()
    for hour in hours:
        total.absorb(hour)
    return total


def _window(begin: str, hour: Hour) -> WindowFigures:
    latencies = sorted(hour.latencies)
    return WindowFigures(
        begin=begin,
        requests=dict(sorted(hour.requests.items())),
        num_sentences=hour.num_sentences,
        latency_p50_ms=_percentile(latencies, 0.5),
        latency_p95_ms=_percentile(latencies, 0.95),
        latency_p99_ms=_percentile(latencies, 0.99),
        length_ratio=hour.target_characters / hour.source_characters if hour.source_characters else None,
        log_probability=hour.log_probability.mean if hour.num_sentences else None,
        faults={kind: hour.faults[kind] for kind in (*FAULTS, UNKNOWN) if hour.faults[kind]},
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that so many are not above."""
    if not ordered:
        return None
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
