"""`lingolite bench`: what it measures on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.benchmark_systems import default_systems, parse_systems
from lingolite_cli.plugins.registry import load_registry

QUICK = ("--system", "echo", "--num-sentences", "2", "--batch-sizes", "1", "--lengths", "", "--rounds", "1", "--json")


@pytest.mark.parametrize("name", ["text.tsv", "text.en"])
def test_sources_are_lines_of_a_text_or_a_column_of_a_tsv(
    with_echo: Callable[..., Outcome], project: Path, name: str
) -> None:
    """The backend repeats its source, so a reference that was read as source would be heard in the number of tokens."""
    reference = "\tet helt andet og meget længere stykke tekst på dansk" if name.endswith(".tsv") else ""
    (project / name).write_text(f"a cat sat{reference}\nthe dog ran{reference}\n", encoding="utf-8")
    outcome = with_echo("bench", "--source", name, *QUICK)
    assert outcome.code == 0, outcome.err
    (row,) = outcome.json["systems"][0]["rows"]
    plain = with_echo("translate", "a cat sat", "the dog ran", "--backend", "echo", "--json")
    expected = sum(len(json.loads(line)["tokens"]) for line in plain.out.splitlines())
    assert (row["num_sentences"], row["num_tokens"]) == (2, expected)


def test_systems_are_backends_on_models_methods_or_directories(tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    texts = ["a", "b@fp16,deep=true,n=3", f"c@{tmp_path}/exported", "d@./x/exported,k=v", "d@./y/exported,k=v"]
    systems = parse_systems(texts)
    assert [(system.backend, system.method, system.options) for system in systems] == [
        ("a", None, {}),
        ("b", "fp16", {"deep": True, "n": 3}),
        ("c", None, {}),
        ("d", None, {"k": "v"}),
        ("d", None, {"k": "v"}),
    ]
    assert [system.name for system in systems] == ["a", "b@fp16,deep=true,n=3", "c@exported", *texts[3:]]
    assert systems[2].directory == tmp_path / "exported"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["@fp16"], "--system @fp16: no backend"),
        (["a,b"], "--system a, b: expected KEY=VALUE"),
        (["a", "b", "a"], "--system a is given 2 times"),
        (["a,workers=0"], "--system a,workers=0: workers is 0, not a number of at least 1"),
        (["a,threads=two"], "--system a,threads=two: threads is 'two', not a number of at least 1"),
    ],
)
def test_a_system_that_is_none_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(LingoLiteError) as error:
        parse_systems(texts)
    assert error.value.message == message


def test_an_extra_is_measured_where_it_is_installed() -> None:
    found = [system.backend for system in default_systems(load_registry())]
    assert found[:3] == ["eager", "cached", "int8"]
    assert ("ctranslate2" in found) == ("ctranslate2" in load_registry().names("backend"))


def test_a_directory_options_beams_and_a_plot(with_echo: Callable[..., Outcome], project: Path) -> None:
    half = with_echo("quantize", "--method", "fp16", "--out", "half")
    assert half.code == 0, half.err
    flags = ("--num-sentences", "2", "--batch-sizes", "1", "--rounds", "2", "--cold-starts", "2", "--beam-size", "2")
    systems = ("--system", "echo", "--system", "echo@./half,skip_every=2")
    outcome = with_echo("bench", *systems, *flags, "--plot", "speed.svg", "--json")
    assert outcome.code == 0, outcome.err
    result = outcome.json
    first, second = result["systems"]
    assert (first["name"], second["name"]) == ("echo", "echo@half,skip_every=2")
    assert (second["options"]["skip_every"], second["artifact"]["format"]) == (2, "bundle-fp16")
    assert second["rows"][0]["num_tokens"] < first["rows"][0]["num_tokens"]
    assert (result["decoding"]["beam_size"], result["cold_starts"], result["buckets"]) == (2, 2, [])
    for system in (first, second):
        assert 0 < system["load_seconds"] < system["cold_start_seconds"]
        assert system["first_token_ms"] > 0
    drawn = (project / "speed.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")


def test_a_system_may_have_threads_and_workers_of_its_own(with_echo: Callable[..., Outcome]) -> None:
    flags = ("--num-sentences", "6", "--batch-sizes", "1,2", "--rounds", "1", "--lengths", "5")
    systems = ("--system", "echo,threads=2", "--system", "echo,workers=3,skip_every=2")
    outcome = with_echo("bench", *systems, *flags, "--json")
    assert outcome.code == 0, outcome.err
    first, second = outcome.json["systems"]
    assert (first["threads"], first["workers"], first["options"]["skip_every"]) == (2, 1, 0)
    assert (second["threads"], second["workers"], second["options"]["skip_every"]) == (1, 3, 2)
    assert second["rows"][0]["num_tokens"] < first["rows"][0]["num_tokens"]
    assert second["peak_memory_mb"] > 2 * first["peak_memory_mb"], "that of four processes"
    latencies = [(system["first_token_ms"], system["rows"][0]["latency_p50_ms"]) for system in (first, second)]
    assert None not in latencies[0]
    assert latencies[1] == (None, None), "sentences that are translated at the same time have none"
    tables = with_echo("bench", "--system", "echo", "--workers", "2", *flags).out
    assert "1 thread in each of 2 workers, greedy, median of 1 rounds" in tables


def test_tables_of_a_benchmark(with_echo: Callable[..., Outcome]) -> None:
    flags = (
        "--num-sentences",
        "2",
        "--batch-sizes",
        "1",
        "--rounds",
        "1",
        "--lengths",
        "5",
        "--length-batch-sizes",
        "2",
    )
    outcome = with_echo("bench", "--system", "echo", *flags)
    assert outcome.code == 0, outcome.err
    for heading in ("ms/token", "over the rounds", "p99 ms", "cold start s", "first token ms", "disk MB"):
        assert heading in outcome.out
    assert "1 thread, greedy, median of 1 rounds taken in turn; ratio to echo" in outcome.out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--plot", "speed.gif"), "speed.gif: a plot ends in .html, .svg, .png, .pdf"),
        (("--plot", "nowhere/speed.svg"), "no such directory: nowhere"),
        (("--beam-size", "2", "--lengths", "9"), "lengths are forced on greedy search only"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(
    with_echo: Callable[..., Outcome], flags: tuple[str, ...], message: str
) -> None:
    outcome = with_echo("bench", "--system", "echo", *flags)
    assert outcome.code == 2
    assert message in outcome.err
    assert "s, " not in outcome.out
