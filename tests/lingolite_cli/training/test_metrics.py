"""The curve that is read from the lines of a training."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.training.metrics import Measurements, training_curve


def test_curve_keeps_every_score_and_thins_the_losses(tmp_path: Path) -> None:
    measurements = Measurements(tmp_path)
    for step in range(1, 301):
        measurements.add(step=step, loss=float(step), tokens=7.0)
        if step % 100 == 0:
            measurements.add(step=step, dev_score=50.0 + step)
    points = training_curve(tmp_path / "metrics.jsonl", max_points=70)
    losses = [point for point in points if point.loss is not None]
    assert 50 <= len(losses) <= 70
    assert all(point.loss == point.step for point in losses)
    assert [(point.step, point.dev_score) for point in points if point.dev_score is not None] == [
        (100, 150.0),
        (200, 250.0),
        (300, 350.0),
    ]
    assert [point.step for point in points] == sorted(point.step for point in points)
