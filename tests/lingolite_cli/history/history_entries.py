"""Entries of a history for tests."""

from __future__ import annotations

from lingolite_cli.history.entry import RunEntry, ScoreFigures, SystemFigures

SYSTEM = SystemFigures(
    name="shipped",
    backend="onnx",
    format="onnx",
    scheme="dynamic-int8",
    digest="ab" * 32,
    size_bytes=7_160_000,
    corpus="cd" * 32,
    num_sentences=999,
    latency_p50_ms=4.25,
    latency_p95_ms=9.5,
    tokens_per_second=1234.5,
    load_seconds=0.5,
    peak_memory_mb=81.0,
    scores=(
        ScoreFigures(metric="chrf", value=60.25, low=59.5, high=61.0, signature="nc:6"),
        ScoreFigures(metric="bleu", value=41.5, signature="tok:13a"),
    ),
)


def entry(number: int, *, recipe: str = "mobile") -> RunEntry:
    return RunEntry(
        id=f"20260101-0000{number:02}-{number:06x}",
        recipe=recipe,
        status="done",
        started=f"2026-01-01T00:00:{number:02}+00:00",
        seconds=1.5 + number,
        num_budgets=3,
        directory=f"runs/mobile/{number}",
        lingolite="0.1.0",
        cpu="a CPU",
        threads=2,
        shipped="shipped",
        reference="baseline",
        systems=(
            SystemFigures(name="baseline", format="bundle", digest="ef" * 32, size_bytes=28_000_000),
            SYSTEM,
        ),
    )
