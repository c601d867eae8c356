"""Differences as records: which way a metric counts, and how a p-value is written."""

from __future__ import annotations

import pytest

from lingolite_cli.evaluation.differences import p_value_text
from lingolite_cli.plugins.specs import MetricSpec


@pytest.mark.parametrize(("p_value", "text"), [(None, ""), (1.0, "1.000"), (0.0499, "0.050"), (0.0002, "<0.001")])
def test_p_values_are_never_written_as_nought(p_value: float | None, text: str) -> None:
    assert p_value_text(p_value) == text


def test_goal_is_a_direction_or_a_number() -> None:
    spec = {"name": "m", "summary": "", "factory": "m:M"}
    assert [MetricSpec(**spec, goal=goal).ranks for goal in ("higher", "lower", 1.0)] == [True, True, False]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric `m` has the goal 'up'"):
        MetricSpec(**spec, goal="up")  # type: ignore[arg-type]
