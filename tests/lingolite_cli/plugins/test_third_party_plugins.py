"""Plugins of others, built and installed as distributions: they work, and when they do not they break nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Outcome, read_run, run_command, runs

Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def hostile(install_plugin: Callable[[str], Path]) -> Path:
    """Where the distribution `lingolite-hostile` is installed."""
    return install_plugin("hostile")


@pytest.fixture
def with_hostile(with_echo: Command, hostile: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """As `with_echo`, with the distribution `lingolite-hostile` beside it."""
    monkeypatch.syspath_prepend(str(hostile))
    return with_echo


def listed(command: Command, *arguments: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Plugins by distribution, kind and name."""
    outcome = command(*arguments, "plugins", "list", "--json")
    assert outcome.code == 0
    return {(entry["distribution"], entry["kind"], entry["name"]): entry for entry in outcome.json}


def test_an_installed_plugin_is_listed_with_its_distribution_and_version(with_echo: Command) -> None:
    lines = with_echo("plugins", "list").out.splitlines()
    assert lines[0].split() == ["kind", "name", "distribution", "health", "summary"]
    rows = {tuple(line.split()[:2]): line.split(maxsplit=5)[2:] for line in lines[1:]}
    assert rows["backend", "echo"] == ["lingolite-echo", "1.2.3", "ok", "repeats the source"]
    assert rows["metric", "exact"][:3] == ["lingolite-echo", "1.2.3", "ok"]
    assert rows["backend", "cached"][0] == "lingolite"


def test_without_it_neither_is_its_plugin(lingolite: Command) -> None:
    assert "echo" not in lingolite("plugins", "list").out
    outcome = lingolite("eval")
    assert outcome.code == 2
    assert "there is no backend called `echo`" in outcome.err


def test_a_plugin_shows_what_it_reads_and_its_options(with_echo: Command) -> None:
    assert with_echo("plugins", "show", "echo").out == (
        "backend echo: ok\n"
        "  from lingolite-echo 1.2.3 (lingolite_echo)\n"
        "  repeats the source\n"
        "  accepts: bundle, bundle-fp16\n"
        "  requires: numpy\n"
        "  option skip_every = 0\n"
        "  option suffix = ()\n"
        "  option gate = None\n"
        "  option fatal = False\n"
        "  option fatal_length = 0\n"
        "  option failing_length = 0\n"
        "  option gate_length = 0\n"
    )
    assert with_echo("plugins", "check", "echo") == Outcome(
        0, "backend echo: lingolite_echo.backend.EchoBackend loads\n", ""
    )


def test_its_backend_and_metric_are_used_by_name(with_echo: Command) -> None:
    outcome = with_echo("eval", "--metrics", "exact,bleu", "--backend", "echo", "--option", "skip_every=20", "--json")
    assert outcome.code == 0
    scores = outcome.json
    assert scores["backend"] == "echo"
    assert 0 < scores["exact"] < 100
    assert 0 < scores["bleu"] < 100
    assert scores["signatures"]["exact"] == "exact|case:mixed|version:1.2.3"


def test_a_recipe_uses_them_and_its_manifest_says_whose_they_are(with_echo: Command, project: Path) -> None:
    assert with_echo("run", "recipes/small.toml").code == 0
    baseline = read_run(runs(project)[0]).steps[0]
    used = {(use.kind, use.name): (use.distribution, use.version) for use in baseline.plugins}
    assert used["backend", "echo"] == ("lingolite-echo", "1.2.3")
    assert used["metric", "exact"] == ("lingolite-echo", "1.2.3")
    assert used["metric", "bleu"][0] == "lingolite"


def test_its_options_are_checked_before_a_run(with_echo: Command) -> None:
    outcome = with_echo("run", "recipes/small.toml", "--set", "baseline.options={skip_evry = 3}")
    assert outcome == Outcome(
        2,
        "",
        "error: recipes/small.toml: step `baseline`, options of backend `echo`: unknown key `skip_evry` = 3\n\n"
        "hint: did you mean `skip_every`?\n",
    )
    outcome = with_echo("eval", "--option", "skip_every=-1")
    assert outcome.code == 2
    assert "`skip_every`: expected `int` >= 0, not -1" in outcome.err


def test_plugins_that_cannot_be_used_are_listed_each_with_its_reason(with_hostile: Command) -> None:
    health = {
        name: (entry["health"], entry["reason"])
        for (distribution, _, name), entry in listed(with_hostile).items()
        if distribution == "lingolite-hostile"
    }
    assert health == {
        "exits": ("broken", "SystemExit: this plugin wants no other"),
        "raises": ("broken", "ZeroDivisionError: first line"),
        "missing-module": ("broken", "ModuleNotFoundError: No module named 'lingolite_hostile.no_such_module'"),
        "unknown-hook": ("broken", health["unknown-hook"][1]),
        "wrong-spec": ("broken", "TypeError: lingolite_backends must yield BackendSpec, not MetricSpec"),
        "bleu": ("duplicate", health["bleu"][1]),
        "future": ("incompatible", "made for plugin API 99; this host has 1"),
        "warp": ("unavailable", "needs no_such_engine"),
        "explodes": ("ok", ""),
        "unsure": ("ok", ""),
        "absent": ("ok", ""),
    }
    assert health["unknown-hook"][1].startswith("TypeError: there is no hook called lingolite_backend; hooks: ")
    assert health["bleu"][1].startswith("claimed by lingolite ")
    assert health["bleu"][1].endswith(" and lingolite-hostile 6.6.6")


def test_the_list_and_the_warnings_name_the_distribution(with_hostile: Command) -> None:
    outcome = with_hostile("plugins", "list")
    assert "plugin exits of lingolite-hostile: SystemExit: this plugin wants no other" in outcome.out.splitlines()
    assert "metric future of lingolite-hostile: made for plugin API 99; this host has 1" in outcome.out.splitlines()
    assert "warning: plugin `raises` of lingolite-hostile: broken: ZeroDivisionError: first line" in outcome.err


def test_what_does_not_use_them_goes_on_working(with_hostile: Command, project: Path) -> None:
    recipe = (project / "recipes" / "small.toml").read_text().replace('"bleu", "exact"', '"exact"')
    (project / "recipes" / "exact.toml").write_text(recipe.replace("bleu_drop_max", "exact_drop_max"))
    assert with_hostile("run", "recipes/exact.toml").code == 0
    assert with_hostile("eval", "--metrics", "chrf,exact").code == 0
    assert with_hostile("translate", "hello", "--backend", "echo").out == "hello\n"


def test_a_name_that_two_distributions_claim_is_chosen_by_neither(with_hostile: Command, project: Path) -> None:
    outcome = with_hostile("run", "recipes/small.toml")
    assert outcome.code == 4
    assert outcome.out == ""
    message = outcome.err[outcome.err.index("error: ") :]
    assert message.startswith(
        "error: recipes/small.toml: step `baseline`, `metrics`: metric `bleu` cannot be used: duplicate: "
        "claimed by lingolite "
    )
    assert "and lingolite-hostile 6.6.6" in message
    assert message.endswith("hint: uninstall one, or block one with `lingolite --no-plugin DISTRIBUTION …`\n")
    assert not (project / "runs").exists()


@pytest.mark.parametrize("how", ["flag", "entry point", "variable", "settings"])
def test_a_blocked_distribution_is_not_loaded(
    with_hostile: Command, project: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    flags: list[str] = []
    if how == "flag":
        flags = ["--no-plugin", "lingolite-hostile"]
    elif how == "entry point":
        flags = ["--no-plugin", "rival"]
    elif how == "variable":
        monkeypatch.setenv("LINGOLITE_BLOCK", "something-else, lingolite-hostile")
    else:
        with (project / "lingolite.toml").open("a") as settings:
            settings.write('[plugins]\nblocked = ["lingolite-hostile"]\n')
    outcome = with_hostile(*flags, "run", "recipes/small.toml")
    assert outcome.code == 0, outcome.err
    found = listed(with_hostile, *flags)
    blocked = {name for (_, _, name), entry in found.items() if entry["health"] == "blocked"}
    everything = {"exits", "missing-module", "raises", "rival", "unknown-hook", "wrong-spec"}
    assert blocked == ({"rival"} if how == "entry point" else everything)
    if how != "entry point":
        assert "hostile" not in outcome.err


@pytest.mark.parametrize(
    ("key", "message", "hint"),
    [
        (
            'metrics=["future"]',
            "metric `future` cannot be used: incompatible: made for plugin API 99; this host has 1",
            "upgrade lingolite-hostile or lingolite",
        ),
        (
            "backend=warp",
            "backend `warp` cannot be used: unavailable: needs no_such_engine",
            "run `pip install no-such-engine`",
        ),
    ],
    ids=["incompatible", "unavailable"],
)
def test_using_one_that_is_unhealthy_exits_4(
    with_hostile: Command, project: Path, key: str, message: str, hint: str
) -> None:
    outcome = with_hostile("run", "recipes/small.toml", "--set", f"baseline.{key}")
    assert outcome.code == 4
    assert outcome.err.endswith(f"step `baseline`, `{key.split('=')[0]}`: {message}\n\nhint: {hint}\n")
    assert not (project / "runs").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("explodes", "ZeroDivisionError: first line"), ("absent", "AttributeError: module")],
)
def test_one_whose_class_cannot_be_imported_exits_4(with_hostile: Command, name: str, reason: str) -> None:
    outcome = with_hostile("eval", "--metrics", name)
    assert outcome.code == 4
    assert f"metric `{name}` of lingolite-hostile 6.6.6 cannot be loaded: {reason}" in outcome.err
    assert "Traceback" not in outcome.err
    outcome = with_hostile("plugins", "check", name)
    assert outcome.code == 4
    assert reason in outcome.err


def test_a_score_that_is_no_number_exits_4(with_hostile: Command, project: Path) -> None:
    outcome = with_hostile("eval", "--metrics", "unsure")
    assert outcome.code == 4
    assert outcome.err.endswith("error: metric `unsure` gave nan as its value\n")


def test_a_broken_plugin_shows_its_traceback_on_request(with_hostile: Command) -> None:
    assert "Traceback" not in with_hostile("plugins", "show", "raises").out
    shown = with_hostile("-v", "plugins", "show", "raises").out
    assert "Traceback" in shown
    assert 'raise ZeroDivisionError("first line\\nsecond line")' in shown


def test_doctor_names_what_is_wrong_and_exits_4(with_hostile: Command, with_echo: Command) -> None:
    outcome = with_hostile("doctor")
    assert outcome.code == 4
    assert "  plugin exits of lingolite-hostile: broken: SystemExit: this plugin wants no other" in outcome.out
    assert "  backend warp of lingolite-hostile: unavailable: needs no_such_engine" in outcome.out


def test_doctor_is_content_with_a_healthy_installation(with_echo: Command, project: Path) -> None:
    outcome = with_echo("doctor", "--json")
    assert outcome.code == 0
    unhealthy = outcome.json["unhealthy"]
    assert [plugin for plugin in unhealthy if plugin["health"] != "unavailable"] == []
    # What is in extras that `test` does not install.
    extras = {"chromium", "comet", "coreml", "coreml-on-mac", "coreml-recorded", "coreml-reference", "litert", "ray"}
    assert {plugin["name"] for plugin in unhealthy} <= extras
    assert outcome.json["project"] == str(project)
    assert outcome.json["environment"]["packages"]["numpy"]


@pytest.fixture(scope="session")
def observer(install_plugin: Callable[[str], Path]) -> Path:
    """Where the distribution `lingolite-observer` is installed."""
    return install_plugin("observer")


def test_observers_are_told_of_the_run_and_of_each_step(project: Path, echo: Path, observer: Path) -> None:
    log = project / "log"
    variables = {"OBSERVER_LOG": str(log)}
    for _ in range(2):
        outcome = run_command("run", "recipes/small.toml", cwd=project, plugins=[echo, observer], variables=variables)
        assert outcome.code == 0, outcome.err
    first, second = log.read_text().split("started ")[1:]
    steps = ["baseline", "half", "shipped", "verify"]
    assert first.splitlines() == [
        "small with 5 steps",
        *(f"finished {step}: done" for step in [*steps, "report"]),
        "ended small: done",
    ]
    assert second.splitlines() == [
        "small with 5 steps",
        *(f"finished {step}: cached" for step in steps),
        "finished report: done",
        "ended small: done",
    ]


@pytest.mark.parametrize("call", ["started", "finished", "ended"])
def test_an_observer_that_fails_is_a_warning(
    with_echo: Command, project: Path, observer: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.syspath_prepend(str(observer))
    monkeypatch.setenv("OBSERVER_LOG", str(project / "log"))
    monkeypatch.setenv("OBSERVER_FAILS", call)
    outcome = with_echo("run", "recipes/small.toml")
    assert outcome.code == 0
    hook = {
        "started": "lingolite_run_started",
        "finished": "lingolite_step_finished",
        "ended": "lingolite_run_finished",
    }[call]
    warning = f"warning: {hook} of plugin lingolite-observer:observer failed: RuntimeError: no more room for {call}"
    assert outcome.err.count(warning) == (5 if call == "finished" else 1)
    assert read_run(runs(project)[0]).status == "done"


def test_an_observer_is_listed_though_it_offers_nothing_by_name(
    with_echo: Command, observer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(observer))
    entry = listed(with_echo)["lingolite-observer", "plugin", "observer"]
    assert (entry["version"], entry["health"]) == ("0.5.0", "ok")
    assert with_echo("plugins", "check", "observer").out == "plugin observer: lingolite_observer loads\n"
