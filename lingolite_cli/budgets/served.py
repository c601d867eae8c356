"""The budgets on what was served: a part of the table of budgets, for the step `monitor` alone.

Owns their names and meaning, and the limits that hold where none are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lingolite_cli.budgets.budget import Budget, Estimate, Estimated, Limit
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.evaluation.faults import FAULTS
from lingolite_cli.monitoring.figures import UNKNOWN, Onset, ServedFigures
from lingolite_cli.monitoring.measure import LENGTH_RATIO, LOG_PROBABILITY


def _served(read: Callable[[ServedFigures], float | None]) -> Limit:
    return Limit(lambda seen: read(seen.served) if seen.served else None)


def _latency(percentile: str, read: Callable[[ServedFigures], float | None]) -> Budget:
    return Budget(
        name=f"served_latency_{percentile}_ms_max",
        group="served",
        label=f"Served {percentile}",
        summary=f"latency of translated requests, from arrival to answer, {percentile}",
        unit="ms",
        needs="sample log",
        rule=_served(read),
    )


def _share(name: str, label: str, outcomes: Sequence[str], summary: str) -> Budget:
    return Budget(
        name=name,
        group="served",
        label=label,
        summary=summary,
        needs="sample log",
        rule=_served(lambda one: one.total.share(*outcomes)),
    )


def _drift(figure: str, turn: Callable[[Estimate], Estimate]) -> Estimated:
    def read(seen: MeasuredFigures) -> Estimate | None:
        drift = seen.served.drift(figure) if seen.served else None
        return None if drift is None else turn(Estimate(drift.delta, drift.low, drift.high))

    return Estimated(read)


def _as_it_is(drift: Estimate) -> Estimate:
    return drift


def _fallen(drift: Estimate) -> Estimate:
    return Estimate(-drift.value, -drift.high, -drift.low)


def _either_way(drift: Estimate) -> Estimate:
    """The distance from 0, and the ends of what it may be."""
    ends = sorted((abs(drift.low), abs(drift.high)))
    return Estimate(abs(drift.value), 0.0 if drift.low <= 0.0 <= drift.high else ends[0], ends[1])


def _rise(kind: str) -> Budget:
    return Budget(
        name=f"served_{kind}_rise_max",
        pattern="served_KIND_rise_max",
        group="served",
        label=f"Rise of {kind}",
        summary="share of sentences with a fault of this kind, minus that of the run that was signed off",
        needs="sample log, signed-off run",
        rule=_drift(kind, _as_it_is),
    )


def told_onset(onset: Onset) -> str:
    """An onset in words."""
    return (
        f"{onset.figure} from {onset.hour} on: {onset.before:.4g} before, {onset.after:.4g} after "
        f"(p = {onset.p_value:.1g})"
    )


_ENTRIES = (
    Budget(
        name="served_onsets_max",
        group="served",
        label="Onsets",
        summary="figures that are others from some hour of the log on: shares of faults, lengths, log-probabilities",
        needs="sample log",
        rule=Limit(
            lambda seen: len(seen.served.onsets) if seen.served else None,
            details=lambda seen: [told_onset(onset) for onset in seen.served.onsets] if seen.served else (),
        ),
    ),
    _share(
        "served_failures_max",
        "Failures",
        ("failed", "late"),
        "share of requests that the engine failed or that were not translated in time",
    ),
    _share("served_refusals_max", "Refusals", ("refused",), "share of requests that were refused because of the load"),
    _latency("p50", lambda one: one.total.latency_p50_ms),
    _latency("p95", lambda one: one.total.latency_p95_ms),
    _latency("p99", lambda one: one.total.latency_p99_ms),
    Budget(
        name="served_unknown_max",
        group="served",
        label="Unknown characters",
        summary="share of sentences with text that the vocabulary cannot spell",
        needs="sample log",
        rule=_served(
            lambda one: one.total.faults.get(UNKNOWN, 0) / one.total.num_sentences if one.total.num_sentences else None
        ),
    ),
    *map(_rise, FAULTS),
    Budget(
        name="served_length_drift_max",
        group="served",
        label="Drift of lengths",
        summary="how much longer or shorter translations are for their sources than in the run, relatively",
        needs="sample log, signed-off run",
        rule=_drift(LENGTH_RATIO, _either_way),
    ),
    Budget(
        name="served_log_probability_drop_max",
        group="served",
        label="Fall of log-probability",
        summary="how much lower the mean log-probability of a target token is than in the run",
        unit="nats",
        needs="sample log, signed-off run",
        rule=_drift(LOG_PROBABILITY, _fallen),
    ),
)

SERVED_BUDGETS = {budget.name: budget for budget in _ENTRIES}
"""By name: those that do not depend on a metric."""

DEFAULT_LIMITS = {"served_onsets_max": 0.0, "served_failures_max": 0.01}
"""They hold unless a step has others."""
DRIFT_LIMITS = {f"served_{kind}_rise_max": 0.02 for kind in FAULTS}
"""They hold besides where a run is named."""
