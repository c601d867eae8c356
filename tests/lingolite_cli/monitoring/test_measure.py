"""Figures of a log by hour and day, what began in it, and drift from what was signed off."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.faults import TranslatedSentence
from lingolite_cli.monitoring.drift import SignedOff, measure_drift
from lingolite_cli.monitoring.figures import IMPROBABLE
from lingolite_cli.monitoring.measure import LENGTH_RATIO, LOG_PROBABILITY, MeasuredLog
from lingolite_cli.serving.sample import SampledRequest
from tests.lingolite_cli.monitoring.served_logs import (
    BEGIN,
    Damage,
    cut,
    looping,
    sentence,
    served_day,
    served_sentences,
)


def request(hours: float, latency_ms: float = 1.0, outcome: str = "done", **fields: object) -> SampledRequest:
    values = {
        "time": (BEGIN + timedelta(hours=hours)).isoformat(),
        "model": "a",
        "languages": ("en", "da"),
        "latency_ms": latency_ms,
        **fields,
    }
    return SampledRequest(outcome=outcome, **values)  # type: ignore[arg-type]


def test_hours_and_days_have_their_requests() -> None:
    requests = [
        request(1.5, 10.0, sentences=(sentence("Four.", "Fire stykker."),)),
        request(1.9, 30.0, sentences=(sentence("12 men", "13 mænd"), sentence("Yes.", "Ja."))),
        request(1.95, outcome="refused"),
        request(25.0, 20.0, model="b"),
        request(25.1, outcome="failed", languages=None),
    ]
    found = MeasuredLog(requests).figures
    assert [hour.begin for hour in found.hours] == ["2026-11-30T01:00Z", "2026-12-01T01:00Z"]
    assert [day.begin for day in found.days] == ["2026-11-30", "2026-12-01"]
    first, second = found.hours
    assert first.requests == {"done": 2, "refused": 1}
    assert (first.num_sentences, first.latency_p50_ms, first.latency_p95_ms) == (3, 10.0, 30.0)
    assert first.length_ratio == pytest.approx((13 + 7 + 3) / (5 + 6 + 4))
    assert first.faults == {"numbers": 1}
    assert (second.share("failed"), second.num_sentences, second.length_ratio) == (0.5, 0, None)
    assert found.models == {"a": 4, "b": 1}
    assert found.languages == {"en-da": 4}
    assert found.total.num_requests == 5


def test_times_of_other_zones_are_of_the_same_hour() -> None:
    requests = [request(1.5), msgspec.structs.replace(request(1.5), time="2026-11-30T03:59:00+02:00")]
    assert [hour.num_requests for hour in MeasuredLog(requests).figures.hours] == [2]


def test_unknown_text_is_a_kind_of_its_own() -> None:
    odd = msgspec.structs.replace(sentence("Four.", "Fire."), unknown=2)
    assert MeasuredLog([request(1, sentences=(odd,))]).figures.total.faults == {"unknown": 1}


@pytest.mark.parametrize("seed", range(10))
def test_an_unharmed_log_shows_no_onset(seed: int) -> None:
    assert MeasuredLog(served_day(seed=seed)).figures.onsets == []


@pytest.mark.parametrize(("damage", "figure"), [(looping, "loops"), (cut, LENGTH_RATIO)])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_what_begins_at_noon_is_named_with_its_hour(damage: Damage, figure: str, share: float) -> None:
    found = MeasuredLog(served_day(seed=1, damage=damage, share=share if damage is looping else 0.6)).figures
    onsets = {onset.figure: onset for onset in found.onsets}
    assert onsets[figure].hour == "2026-11-30T12:00Z"
    assert onsets[figure].p_value < 1e-6
    if figure == LENGTH_RATIO:
        assert onsets[figure].after / onsets[figure].before == pytest.approx((2 / 3) ** 0.6, abs=0.03)


def test_a_model_that_grows_unsure_is_seen_though_its_texts_show_nothing() -> None:
    unsure = [
        msgspec.structs.replace(one, sentences=tuple(_less_likely(each) for each in one.sentences))
        if one.time >= "2026-11-30T18"
        else one
        for one in served_day(seed=2, requests=2000)
    ]
    assert {(one.figure, one.hour) for one in MeasuredLog(unsure).figures.onsets} == {
        (LOG_PROBABILITY, "2026-11-30T18:00Z"),
        (IMPROBABLE, "2026-11-30T18:00Z"),
    }


def test_a_damaged_copy_that_answers_few_requests_is_seen_by_its_least_probable_translations() -> None:
    few = [
        msgspec.structs.replace(one, sentences=tuple(_less_likely(each) for each in one.sentences))
        if one.time >= "2026-11-30T12" and number % 40 == 0
        else one
        for number, one in enumerate(served_day(seed=2, requests=4000))
    ]
    (onset,) = MeasuredLog(few).figures.onsets
    assert (onset.figure, onset.hour) == (IMPROBABLE, "2026-11-30T12:00Z")


def _less_likely(one: object) -> object:
    return msgspec.structs.replace(one, log_probability=one.log_probability - 0.1)  # type: ignore[attr-defined,type-var]


def test_a_log_without_a_request_is_refused() -> None:
    with pytest.raises(LingoLiteError, match="the log has no request"):
        MeasuredLog([])


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(LingoLiteError, match="'yesterday', which is none"):
        MeasuredLog([msgspec.structs.replace(request(1), time="yesterday")])


def test_drift_is_what_was_served_minus_what_was_signed_off() -> None:
    pairs = [(one.source or "", one.translation or "", one.log_probability) for one in served_sentences()]
    signed_off = SignedOff((TranslatedSentence(source, ["x"], target, True), p) for source, target, p in pairs)
    same = {one.figure: one for one in measure_drift(signed_off, MeasuredLog(served_day(seed=1)).total)}
    assert all(one.low <= 0 <= one.high for one in same.values()), "the references that it has do not count"
    other = {
        one.figure: one for one in measure_drift(signed_off, MeasuredLog(served_day(seed=1, damage=looping)).total)
    }
    assert other["loops"].delta == pytest.approx(0.05, abs=0.01)
    assert other["loops"].low > 0.04
    assert other[LENGTH_RATIO].low > 0.0
    shorter = {
        one.figure: one
        for one in measure_drift(signed_off, MeasuredLog(served_day(seed=1, damage=cut, share=1.0)).total)
    }
    assert shorter[LENGTH_RATIO].served == pytest.approx((2 / 3) ** 0.5 - 1, abs=0.02)
