"""Measuring in worker processes: what is counted, what fails, and that nobody stays. No test looks at a clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from command_line import RECIPE, Outcome, command, environment, read_run, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.benchmark.figures import paired_ratio, percentile
from lingolite_cli.benchmark.measure import Workload, measure
from lingolite_cli.benchmark.process import System, WorkerProcess, start_worker
from lingolite_cli.benchmark.protocol import BackendLoaded, Load, Timed, Translate
from lingolite_cli.console import Progress
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.testing import SENTENCES
from lingolite_cli.tokenization.opening import open_tokenizer

Command = Callable[..., Outcome]

LANGUAGES = ("en", "da")


@pytest.fixture
def workers(echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the distribution `lingolite-echo`."""
    monkeypatch.setenv("PYTHONPATH", str(echo))


def system(artifact: Artifact, name: str = "echo", *, backend: str = "echo", **options: object) -> System:
    """A backend on an artifact, on one thread."""
    load = Load(artifact=str(artifact.path), backend=backend, options=options, threads=1, blocked=[])
    return System(name=name, load=load)


def forced(length: int, sources: list[str], *, batch_size: int) -> Translate:
    """A request for exactly `length` tokens a sentence."""
    decoding = DecodingOptions(min_length=length, max_length=length)
    return Translate(sources=sources, languages=LANGUAGES, decoding=decoding, batch_size=batch_size)


class Counting(Progress):
    """Counts turns and their work, which must be what was told before."""

    turns = 0
    work = 0.0
    whole = 0.0

    def begin(self, part: str, *, total: int | None) -> None:
        self.turns = 0

    def weigh(self, work: float) -> None:
        self.whole = work

    def advance(self, amount: int = 1, *, work: float | None = None, remark: str | None = None) -> None:
        self.turns += amount
        self.work += work or 0


@pytest.mark.usefixtures("workers")
def test_there_is_a_row_for_each_system_and_batch_size(tiny: Artifact) -> None:
    workload = Workload(
        sources=list(SENTENCES),
        languages=LANGUAGES,
        decoding=DecodingOptions(max_length=40),
        batch_sizes=(1, 3),
        lengths=(4, 11),
        rounds=2,
    )
    progress = Counting()
    measured, buckets = measure([system(tiny), system(tiny, "again", skip_every=2)], workload, progress=progress)
    assert progress.turns == 2 * workload.num_turns == 2 * 2 * (1 + 2 + 2)
    assert progress.work == progress.whole > 0
    tokenizer = open_tokenizer(tiny)
    lengths = [len(tokenizer.encode(sentence)) for sentence in SENTENCES]
    # `</s>` is a token that was made, too; the second system leaves out each second token.
    expected = [sum(length + 1 for length in lengths), sum((length + 1) // 2 + 1 for length in lengths)]
    for seen, num_tokens in zip(measured, expected, strict=True):
        assert 0 < seen.load_seconds < seen.cold_start_seconds
        assert seen.first_token_ms > 0
        assert [row.batch_size for row in seen.rows] == [1, 3]
        for row in seen.rows:
            assert (row.num_sentences, row.num_tokens) == (7, num_tokens)
            assert row.tokens_per_second > 0
            assert row.spread >= 0
        single, batched = seen.rows
        assert single.latency_p50_ms is not None
        assert single.latency_p95_ms is not None
        assert single.latency_p99_ms is not None
        assert 0 < single.latency_p50_ms <= single.latency_p95_ms <= single.latency_p99_ms
        assert batched.latency_p50_ms is batched.latency_p95_ms is batched.latency_p99_ms is None
        for row in seen.rows:
            assert row.ratio is not None
            assert 0 < row.ratio.low <= row.ratio.median <= row.ratio.high
    assert all(row.ratio is not None and row.ratio.low == row.ratio.high == 1.0 for row in measured[0].rows)
    assert [(bucket.num_tokens, bucket.system) for bucket in buckets] == [
        (4, "echo"),
        (4, "again"),
        (11, "echo"),
        (11, "again"),
    ]
    for bucket in buckets:
        assert bucket.milliseconds > 0
        assert 0 < bucket.low <= bucket.ratio <= bucket.high
        if bucket.system == "echo":
            assert bucket.low == bucket.ratio == bucket.high == 1.0, "the first system is the measure"


@pytest.mark.parametrize("backend", ["echo", "cached"])
@pytest.mark.usefixtures("workers")
def test_a_forced_length_is_made_exactly(tiny: Artifact, backend: str) -> None:
    with start_worker(system(tiny, backend=backend)) as worker:
        assert isinstance(worker.ask(worker.system.load), BackendLoaded)
        for length, batch_size in ((1, 1), (3, 1), (29, 1), (29, 4), (48, 7)):
            timed = worker.ask(forced(length, list(SENTENCES), batch_size=batch_size))
            assert isinstance(timed, Timed)
            assert timed.num_tokens == length * len(SENTENCES)
            assert len(timed.latencies_ms) == (len(SENTENCES) if batch_size == 1 else 0)
            if sys.platform == "linux":
                assert timed.peak_memory_mb is not None
                assert timed.peak_memory_mb > 1


@pytest.mark.parametrize(
    ("changes", "message", "code"),
    [
        ({"backend": "ecko"}, "benchmark of echo: there is no backend called `ecko`", 2),
        ({"options": {"skip": 1}}, "benchmark of echo: options of backend `echo`: unknown key `skip` = 1", 2),
        ({"artifact": "nowhere"}, "benchmark of echo: no such directory: nowhere", 2),
        ({"blocked": ["lingolite-echo"]}, "benchmark of echo: there is no backend called `echo`", 2),
        ({"options": {"gate": "no such file"}}, "benchmark of echo: backend `echo` cannot open ", 4),
    ],
    ids=["backend", "option", "artifact", "blocked", "crash"],
)
@pytest.mark.usefixtures("workers")
def test_a_worker_that_fails_says_why(tiny: Artifact, changes: dict[str, object], message: str, code: int) -> None:
    load = msgspec.structs.replace(system(tiny).load, **changes)
    with start_worker(System(name="echo", load=load)) as worker:
        with pytest.raises(LingoLiteError) as error:
            worker.ask(load)
        assert error.value.message.startswith(message)
        assert error.value.exit_code == code
        if "backend" not in message:
            with pytest.raises(LingoLiteError):
                worker.ask(load)


def pid_of(worker: WorkerProcess) -> int:
    """The worker's process."""
    return worker._process.pid


@pytest.mark.usefixtures("workers")
def test_a_worker_that_dies_is_reported(tiny: Artifact) -> None:
    with start_worker(system(tiny)) as worker:
        worker.ask(worker.system.load)
        os.kill(pid_of(worker), signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(LingoLiteError, match="benchmark of echo: its process died with exit code -9"):
                worker.ask(forced(3, ["She reads."], batch_size=1))


@pytest.mark.usefixtures("workers")
def test_ctrl_c_is_left_to_the_measuring_process(tiny: Artifact) -> None:
    """A terminal sends it to the whole group; a worker must neither die of it nor print a traceback."""
    with start_worker(system(tiny)) as worker:
        worker.ask(worker.system.load)
        os.kill(pid_of(worker), signal.SIGINT)
        assert isinstance(worker.ask(forced(3, ["She reads."], batch_size=1)), Timed)


@pytest.mark.parametrize("failure", [None, RuntimeError, KeyboardInterrupt])
@pytest.mark.usefixtures("workers")
def test_a_worker_ends_with_its_block(tiny: Artifact, failure: type[BaseException] | None) -> None:
    def work() -> None:
        with start_worker(system(tiny)) as worker:
            pids.append(pid_of(worker))
            os.kill(pids[0], 0)
            if failure is not None:
                raise failure

    pids: list[int] = []
    if failure is None:
        work()
    else:
        with pytest.raises(failure):
            work()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.parametrize(
    ("first", "own", "expected"),
    [
        ([10.0, 20.0, 30.0], [20.0, 44.0, 57.0], (2.0, 1.9, 2.2, False)),  # drift of the machine is in both
        ([10.0, 20.0, 30.0], [20.0, 52.0, 60.0], (2.0, 2.0, 2.6, True)),
        ([10.0, 10.0, 10.0], [20.0, 20.0, 25.0], (2.0, 2.0, 2.5, False)),  # a quarter is not yet too much
    ],
)
def test_ratios_are_taken_round_by_round(
    first: list[float], own: list[float], expected: tuple[float, float, float, bool]
) -> None:
    found = paired_ratio(first, own)
    assert (found.median, found.low, found.high) == pytest.approx(expected[:3])
    assert found.is_noisy is expected[3]


@pytest.mark.parametrize(("speeds", "is_noisy"), [([10.0, 12.0, 11.0], False), ([10.0, 14.0, 11.0], True)])
def test_the_first_system_is_noisy_by_its_own_speed(speeds: list[float], is_noisy: bool) -> None:
    found = paired_ratio(speeds, speeds)
    assert (found.median, found.low, found.high, found.is_noisy) == (1.0, 1.0, 1.0, is_noisy)


def test_forced_lengths_fill_a_batch(tiny: Artifact, workers: None) -> None:
    workload = Workload(
        sources=list(SENTENCES[:2]),
        languages=LANGUAGES,
        decoding=DecodingOptions(max_length=40),
        batch_sizes=(1,),
        lengths=(6,),
        length_batch_sizes=(1, 5),
        rounds=1,
        cold_starts=2,
    )
    progress = Counting()
    _, buckets = measure([system(tiny)], workload, progress=progress)
    assert [(bucket.batch_size, bucket.num_tokens) for bucket in buckets] == [(1, 6), (5, 6)]
    assert progress.turns == workload.num_turns == 4


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [float(n) for n in range(1, 65)], [0.5] * 9 + [7.0]])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_percentiles_are_values_that_were_seen(values: list[float], share: float) -> None:
    assert percentile(values, share) == np.percentile(values, 100 * share, method="inverted_cdf")


def test_no_process_outlives_a_benchmark_that_failed(project: Path, echo: Path) -> None:
    """The first system is loaded and waiting when the second cannot be."""
    recipe = RECIPE[: RECIPE.index("[[steps]]")] + (
        '[[steps]]\nid = "speed"\nuses = "benchmark"\nsystems = [{ model = "inputs.model", backend = "echo" }, '
        '{ model = "inputs.model", backend = "echo", options = { gate = "missing" }, name = "gated" }]\n'
    )
    (project / "recipes" / "speed.toml").write_text(recipe)
    process = subprocess.Popen(
        command("run", "recipes/speed.toml"),
        cwd=project,
        env=environment([echo]),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _, error = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "\nerror: benchmark of gated: backend `echo` cannot open " in error
    assert "FileNotFoundError: " in error
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not (project / "runs").exists()


def test_bench_shows_systems_side_by_side(with_echo: Command) -> None:
    flags = ("--rounds", "1", "--num-sentences", "3", "--batch-sizes", "2", "--lengths", "5", "--json")
    outcome = with_echo("bench", "--system", "echo", "--system", "echo@fp16", *flags)
    assert outcome.code == 0, outcome.err
    result = outcome.json
    assert [(found["name"], found["artifact"]["format"]) for found in result["systems"]] == [
        ("echo", "bundle"),
        ("echo@fp16", "bundle-fp16"),
    ]
    assert [(row["batch_size"], row["num_sentences"]) for found in result["systems"] for row in found["rows"]] == [
        (2, 3),
        (2, 3),
    ]
    assert [bucket["num_tokens"] for bucket in result["buckets"]] == [5, 5]


SPEED = (
    RECIPE[: RECIPE.index("[[steps]]")]
    + """
[[steps]]
id = "speed"
uses = "benchmark"
systems = [
    { model = "inputs.model", backend = "echo" },
    { model = "inputs.model", backend = "echo", name = "other" },
]
num_sentences = 3
batch_sizes = [1]
rounds = 1
"""
)


def test_budgets_are_judged_on_rounds_of_the_last_system(with_echo: Command, project: Path) -> None:
    limits = {
        "load_seconds_max": 1e-9,
        "latency_p99_ms_max": 1e9,
        "peak_memory_mb_max": 0.1,
        "tokens_per_second_min": 1e-9,
    }
    budget = "\n".join(f"{name} = {limit}" for name, limit in limits.items())
    (project / "recipes" / "speed.toml").write_text(f"{SPEED}[steps.budget]\n{budget}\n")
    outcome = with_echo("run", "recipes/speed.toml")
    assert outcome.code == 3, outcome.err
    result = read_run(runs(project)[0]).steps[0].result
    assert isinstance(result, BenchmarkResult)
    assert [found.name for found in result.systems] == ["echo (inputs.model)", "other"]
    assert [(verdict.budget, verdict.status, verdict.rounds) for verdict in result.verdicts] == [
        ("load_seconds_max", "fail", 6),
        ("latency_p99_ms_max", "pass", 6),
        ("peak_memory_mb_max", "fail", 6),
        ("tokens_per_second_min", "pass", 6),
    ]
    assert result.timing is not None
    assert (result.timing.num_sentences, result.timing.batch_size, result.timing.threads) == (3, 1, 1)
    (timed,) = result.timing.systems
    assert timed.name == "other", "nothing is a ratio, so the first has no rounds"
    for seen in timed.rounds:
        assert 0 < seen.load_seconds < seen.cold_start_seconds
        assert 0 < seen.first_token_ms
        assert 0 < seen.latency_p50_ms <= seen.latency_p95_ms <= seen.latency_p99_ms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("rounds = 1", "rounds = 1\nbudget = { speed_min = 2 }"),
            "step `speed`, `budget.speed_min`: there is no such budget here",
        ),
        (("rounds = 1", "max_rounds = 5"), "step `speed`, `max_rounds`: expected `int` >= 6, not 5"),
        (
            ("rounds = 1", "workers = 2\nbudget = { load_seconds_max = 9 }"),
            "step `speed`, `budget`: budgets are judged on one worker",
        ),
        (("rounds = 1", "lengths = [49]"), "step `speed`, `lengths`: 49 is more than the 48 positions"),
        (("batch_sizes = [1]", "batch_sizes = []"), "step `speed`, `batch_sizes`: there is nothing to measure"),
        (("rounds = 1", "rounds = 0"), "step `speed`, `rounds`: expected `int` >= 1, not 0"),
        (
            ('backend = "echo" }', 'backend = "onnx" }'),
            "step `speed`, `model`: `inputs.model` is of format bundle, and backend `onnx`",
        ),
    ],
    ids=["budget", "most rounds", "workers", "length", "no batch size", "rounds", "format"],
)
def test_what_cannot_be_measured_is_refused(
    with_echo: Command, project: Path, change: tuple[str, str], message: str
) -> None:
    assert change[0] in SPEED
    (project / "recipes" / "speed.toml").write_text(SPEED.replace(*change, 1))
    outcome = with_echo("run", "recipes/speed.toml")
    assert outcome.code == 2
    assert message in outcome.err
    assert not (project / "runs").exists()
