"""What a sample log shows, as typed figures. How they are measured is in the modules beside this one."""

from __future__ import annotations

import msgspec

UNKNOWN = "unknown"
"""A kind beside those of `lingolite_cli.evaluation.faults`: sentences with text that the vocabulary cannot spell."""

IMPROBABLE = "improbable"
"""A kind that begins, and is never counted: the hundredth of a log's sentences that the model found least probable."""


class _Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class WindowFigures(_Figures, frozen=True, kw_only=True):
    """An hour, a day, or all of a log.

    Attributes:
        begin: UTC, ISO 8601: an hour, or a day.
        requests: all of them, by what became of them; see `lingolite_cli.serving.sample.Outcome`.
        num_sentences: of translated requests.
        latency_p50_ms: of translated requests, from arrival to answer; None where there are none.
        latency_p95_ms: likewise.
        latency_p99_ms: likewise.
        length_ratio: characters of all translations over those of all sources; None without a sentence.
        log_probability: natural logarithm of the model's probability of a target token, mean over sentences.
        faults: sentences with a fault, by kind; `unknown` among the kinds.
    """

    begin: str
    requests: dict[str, int]
    num_sentences: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    length_ratio: float | None
    log_probability: float | None
    faults: dict[str, int]

    @property
    def num_requests(self) -> int:
        """All of them."""
        return sum(self.requests.values())

    def share(self, *outcomes: str) -> float | None:
        """The share of requests that came to one of these; None without a request."""
        if not self.num_requests:
            return None
        return sum(self.requests.get(outcome, 0) for outcome in outcomes) / self.num_requests


class Drift(_Figures, frozen=True, kw_only=True):
    """How a figure of what was served differs from that of the run that was signed off.

    `low` and `high` are the ends of the 95 % interval of `served` minus `signed_off`.
    """

    figure: str
    signed_off: float
    served: float
    low: float
    high: float

    @property
    def delta(self) -> float:
        """Served minus signed off."""
        return self.served - self.signed_off


class Onset(_Figures, frozen=True, kw_only=True):
    """A figure that is another from some time on.

    Attributes:
        figure: a kind of fault, or `length ratio` or `log-probability`.
        hour: in which it began, UTC, ISO 8601.
        before: the figure until then: the share of sentences with a fault, or a mean.
        after: the figure from then on.
        p_value: of a difference as large at any time and in any figure, if nothing had begun.
    """

    figure: str
    hour: str
    before: float
    after: float
    p_value: float


class ServedFigures(_Figures, frozen=True, kw_only=True):
    """A sample log, measured.

    Attributes:
        end: time of the last request, UTC, ISO 8601.
        models: digests of what was served, their first digits, with the number of requests.
        languages: pairs of languages, such as `en-da`, with the number of requests.
        total: of the whole log.
        hours: each hour with a request, in order.
        days: each day with a request, in order.
        onsets: what began, by time.
        drifts: against the run that was signed off; none without one.
    """

    end: str
    models: dict[str, int]
    languages: dict[str, int]
    total: WindowFigures
    hours: list[WindowFigures]
    days: list[WindowFigures]
    onsets: list[Onset]
    drifts: list[Drift] = []

    def drift(self, figure: str) -> Drift | None:
        """The drift of a figure; None where it was not measured."""
        return next((drift for drift in self.drifts if drift.figure == figure), None)
