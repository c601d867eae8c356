"""The comparison of engines as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lingolite_cli.benchmark.figures import Ratio
from lingolite_cli.runs.measured_results import BenchmarkResult, BenchmarkSystem
from lingolite_cli.runs.record import RunManifest


def render(runs: Mapping[str, RunManifest], *, notes: Sequence[str]) -> str:
    """The whole text: where and when, a table of speed and one of costs for each model, and the notes."""
    some = next(iter(runs.values()))
    environment = some.environment
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    lines = [
        f"{some.started[:10]}, {environment.cpu}, {environment.cores} cores, "
        f"{', '.join(filter(None, [_result(some).common_effort, f'Python {environment.python}']))}; {packages}.",
        "",
    ]
    for name, manifest in runs.items():
        result = _result(manifest)
        lines += [f"## {name}: {_work(name, result)}", "", *_speed(result), "", *_costs(result), ""]
    lines += [
        f"Ratios are to the first system, with their range over {_result(some).rounds} rounds in turn; `noisy` ones "
        "lie too far apart to conclude from.",
        "",
        *(f"- {note}" for note in notes),
        "",
    ]
    return "\n".join(lines)


def _result(manifest: RunManifest) -> BenchmarkResult:
    result = manifest.steps[-1].result
    assert isinstance(result, BenchmarkResult)
    return result


def _work(name: str, result: BenchmarkResult) -> str:
    decoding = result.decoding
    beams = "greedy" if decoding.beam_size == 1 else f"beam {decoding.beam_size}"
    sentences = f"{result.systems[0].rows[0].num_sentences} sentences, {beams}"
    return f"{sentences}, {decoding.max_length} target tokens each" if name != "starter" else sentences


def _speed(result: BenchmarkResult) -> list[str]:
    headings = ["engine"]
    for row in result.systems[0].rows:
        headings += [f"batch {row.batch_size}, tokens/s", "ms/token", "ratio"]
    lengths = list(dict.fromkeys(bucket.num_tokens for bucket in result.buckets))
    for length in lengths:
        headings += [f"batch 1, {length} tokens, ms/token", "ratio"]
    return _table(headings, [_speed_cells(system, result, lengths) for system in result.systems])


def _speed_cells(system: BenchmarkSystem, result: BenchmarkResult, lengths: Sequence[int]) -> list[str]:
    cells = [system.name]
    for row in system.rows:
        cells += [f"{row.tokens_per_second:,.0f}", f"{1e3 / row.tokens_per_second:.3g}", _ratio(row.ratio)]
    own = {bucket.num_tokens: bucket for bucket in result.buckets if bucket.system == system.name}
    for length in lengths:
        bucket = own[length]
        ratio = Ratio(median=bucket.ratio, low=bucket.low, high=bucket.high, is_noisy=bucket.is_noisy)
        cells += [f"{bucket.milliseconds / length:.3g}", _ratio(ratio)]
    return cells


def _costs(result: BenchmarkResult) -> list[str]:
    headings = ["engine", "p50 / p95 / p99, ms", "first token, ms", "load, s", "cold start, s", "peak, MB", "disk, MB"]
    rows = []
    for system in result.systems:
        single = next((row for row in system.rows if row.batch_size == 1), None)
        known = [single.latency_p50_ms, single.latency_p95_ms, single.latency_p99_ms] if single else []
        rows.append(
            [
                system.name,
                " / ".join(f"{value:.1f}" for value in known if value is not None),
                _number(system.first_token_ms, ".1f"),
                f"{system.load_seconds:.2f}",
                _number(system.cold_start_seconds, ".2f"),
                _number(system.peak_memory_mb, ".0f"),
                f"{system.artifact.size_bytes / 1e6:.2f}",
            ]
        )
    return _table(headings, rows)


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    said = ["noisy"] if ratio.is_noisy else []
    if not ratio.low == ratio.high == 1:  # the first system has no range to itself
        said.append(f"{ratio.low:.2f}–{ratio.high:.2f}")
    return f"{ratio.median:.2f}× ({', '.join(said)})" if said else f"{ratio.median:.2f}×"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    ruled = ["---", *["--:"] * (len(headings) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (headings, ruled, *rows)]
