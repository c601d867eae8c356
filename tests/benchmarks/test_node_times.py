"""The profile of a step: what is counted in it."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_the_operators_of_one_step_of_the_decoder_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from artifacts import ORT, export_int8
    from node_times import measure, table

    (exported,) = export_int8("starter", tmp_path, engines=[ORT])
    times, calls = measure(exported, rows=3, k=2, steps=4, directory=tmp_path)
    assert calls["GroupQueryAttention"] == exported.artifact.manifest.model.n_decoder_layers
    assert calls["TopK"] == 1
    assert all(count == int(count) for count in calls.values()), "each step has the same operators"
    assert times.keys() == calls.keys()
    _, _, total, first, *_ = table(times, calls)
    assert total.endswith(f"| {sum(calls.values()):.0f} |")
    assert max(times, key=times.__getitem__) in first
