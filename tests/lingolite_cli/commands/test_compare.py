"""`lingolite compare`: runs, files and artifacts, what is said of them, and when it fails."""

from __future__ import annotations

import gc
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from command_line import Outcome, runs

from lingolite_cli.evaluation.scorer import Translations
from lingolite_cli.jobs import system_comparison

Command = Callable[..., Outcome]
RECIPE = "recipes/small.toml"


def write(path: Path, hypotheses: list[str], references: list[str], sources: list[str] | None = None) -> Path:
    lines = [
        {
            "index": index,
            "source": (sources or references)[index],
            "references": [references[index]],
            "hypothesis": hypothesis,
            "tokens": [5, 2],
            "score": -1.0,
            "is_truncated": False,
            "is_finished": True,
        }
        for index, hypothesis in enumerate(hypotheses)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def texts() -> tuple[list[str], list[str], list[str]]:
    """References of 3 to 14 words, a system that is wrong on every tenth word, and one that is on every fourth."""
    draw = random.Random(3)
    words = "the cat sat on a mat and ran into fog behind red boats while rain fell over old houses".split()
    references = [" ".join(draw.choices(words, k=3 + number % 12)) for number in range(60)]

    def spoil(share: float) -> list[str]:
        return [" ".join("xyz" if draw.random() < share else word for word in line.split()) for line in references]

    return references, spoil(0.1), spoil(0.25)


def test_two_files_are_compared_as_sacrebleu_scores_them(
    lingolite: Command, project: Path, texts: tuple[list[str], list[str], list[str]]
) -> None:
    references, good, bad = texts
    first, second = write(project / "a.jsonl", good, references), write(project / "b.jsonl", bad, references)
    outcome = lingolite("compare", first, second, "--metrics", "bleu,chrf", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    (comparison,) = found["comparisons"]
    assert comparison["num_sentences"] == 60
    assert comparison["wins"] + comparison["losses"] + comparison["ties"] == 60
    scores = {difference["metric"]: difference for difference in comparison["differences"]}
    assert scores["bleu"]["reference"] == pytest.approx(sacrebleu.corpus_bleu(good, [references]).score, abs=1e-9)
    assert scores["chrf"]["candidate"] == pytest.approx(sacrebleu.corpus_chrf(bad, [references]).score, abs=1e-9)
    assert scores["chrf"]["low"] < scores["chrf"]["delta"] < scores["chrf"]["high"] < 0
    assert sum(bucket["num_sentences"] for bucket in comparison["buckets"]) == 60
    assert [(bucket["low"], bucket["high"]) for bucket in comparison["buckets"]] == [(1, 5), (6, 10), (11, 20)]
    worst = comparison["worst"]
    expected = [
        sacrebleu.sentence_chrf(b, [reference]).score - sacrebleu.sentence_chrf(a, [reference]).score
        for a, b, reference in zip(good, bad, references, strict=True)
    ]
    assert worst[0]["delta"] == pytest.approx(min(expected), abs=1e-9)
    assert [sentence["delta"] for sentence in worst] == sorted(sentence["delta"] for sentence in worst)
    assert [line.split(":")[1].split()[0] for line in found["regressions"]] == ["bleu", "chrf"]


def test_a_file_that_is_not_utf8_is_refused_by_name(lingolite: Command, project: Path) -> None:
    good = write(project / "a.jsonl", ["Ja"], ["Ja"])
    (project / "b.jsonl").write_bytes(good.read_bytes().replace(b"Ja", b"J\xe5"))
    outcome = lingolite("compare", "a.jsonl", "b.jsonl")
    assert outcome.code == 2
    assert "b.jsonl is not a file of translations" in outcome.err
    assert "Traceback" not in outcome.err


HARMFUL = "\x1b[31mred \x1b]0;title\x07 \x9b2J\r \u202eexe.txt\u2066 \x00 one\nno significant regression"


def test_no_escape_of_a_sentence_or_a_name_reaches_the_terminal_and_json_is_exact(
    lingolite: Command, project: Path
) -> None:
    references = [f"line {number} {HARMFUL}" for number in range(6)]
    first = write(project / "a\x1b[31m\u202e.jsonl", references, references)
    second = write(project / "b.jsonl", [f"{HARMFUL} xyz"] * 6, references)
    outcome = lingolite("compare", first, second, "--resamples", "100")
    assert outcome.code == 0, outcome.err
    for character in "\x1b\x9b\x07\r\x00\u202e\u2066":
        assert character not in outcome.out + outcome.err
    assert r"\x1b[31mred \x1b]0;title\x07 \x9b2J\r \u202eexe.txt\u2066 \x00 one\nno significant" in outcome.out
    assert "no significant regression" not in outcome.out.splitlines()
    exact = json.loads(lingolite("compare", first, second, "--resamples", "100", "--json").out)
    assert exact["comparisons"][0]["worst"][0]["source"] in references


def test_messages_about_arguments_show_no_escape(lingolite: Command, project: Path) -> None:
    for arguments in (("compare", "no\x1b[31m\u202e", "other"), ("compare", "a", "b", "--see\x1b[31m"), ("\x1b[31m",)):
        outcome = lingolite(*arguments)
        assert outcome.code == 2
        assert "\x1b" not in outcome.err
        assert r"\x1b[31m" in outcome.err


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seed", "-1"), ("--seed", str(2**63)), ("--resamples", "99"), ("--resamples", "1" + "0" * 12)],
)
def test_numbers_that_no_resampling_takes_are_refused_before_work(
    lingolite: Command, project: Path, option: str, value: str
) -> None:
    outcome = lingolite("compare", "a.jsonl", "b.jsonl", option, value)
    assert outcome.code == 2
    assert option in outcome.err
    assert "Traceback" not in outcome.err


def test_every_metric_has_an_interval_and_a_p_value(
    lingolite: Command, project: Path, texts: tuple[list[str], list[str], list[str]]
) -> None:
    """`spoil` puts words of three letters, so that lengths come nearer to the references' or leave them."""
    references, good, bad = texts
    first, second = write(project / "a.jsonl", good, references), write(project / "b.jsonl", bad, references)
    names = ["chrfpp", "ter", "exact-match", "length-ratio"]
    chosen = [part for name in names for part in ("--metrics", name)]
    outcome = lingolite("compare", first, second, *chosen, "--sentences", "0", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    differences = found["comparisons"][0]["differences"]
    assert [difference["metric"] for difference in differences] == names
    assert [difference["goal"] for difference in differences] == ["higher", "lower", "higher", 100.0]
    for difference in differences:
        assert difference["low"] < difference["delta"] < difference["high"]
        assert 0 < difference["p_value"] <= 1
    ratio = differences[-1]
    lost = abs(ratio["candidate"] - 100.0) - abs(ratio["reference"] - 100.0)
    assert ratio["resampled_loss"]["estimate"] == pytest.approx(lost)
    assert ratio["candidate"] == pytest.approx(100 * sum(map(len, bad)) / sum(map(len, references)))
    table = lingolite("compare", first, second, *chosen, "--sentences", "0").out
    assert " p " in table.splitlines()[4]
    assert "<0.001" in table


def test_options_of_metrics_are_those_of_the_project(
    lingolite: Command, project: Path, texts: tuple[list[str], list[str], list[str]]
) -> None:
    references, good, bad = texts
    first, second = write(project / "a.jsonl", good, references), write(project / "b.jsonl", bad, references)
    settings = project / "lingolite.toml"
    table = "[defaults.evaluate]\n"
    text = settings.read_text(encoding="utf-8")
    changed = text.replace(table, table + "metric_options = { chrf = { char_order = 4 } }\n")
    settings.write_text(changed, encoding="utf-8")
    outcome = lingolite("compare", first, second, "--metrics", "chrf", "--json")
    assert outcome.code == 0, outcome.err
    (difference,) = json.loads(outcome.out)["comparisons"][0]["differences"]
    expected = sacrebleu.corpus_chrf(good, [references], char_order=4).score
    assert difference["reference"] == pytest.approx(expected, abs=1e-9)


def test_regression_fails_where_asked_and_gain_does_not(
    lingolite: Command, project: Path, texts: tuple[list[str], list[str], list[str]]
) -> None:
    references, good, bad = texts
    first, second = write(project / "a.jsonl", good, references), write(project / "b.jsonl", bad, references)
    outcome = lingolite("compare", first, second, "--fail-on-regression")
    assert outcome.code == 3
    assert "worse: translations: bleu" in outcome.out
    assert "[-" in outcome.out
    assert "[+xyz+]" in outcome.out
    back = lingolite("compare", second, first, "--fail-on-regression")
    assert back.code == 0
    assert "no significant regression" in back.out


def test_noise_is_no_regression(
    lingolite: Command, project: Path, texts: tuple[list[str], list[str], list[str]]
) -> None:
    references, good, _ = texts
    other = [*good[:30], *reversed(good[30:])]
    changed = [a if index % 7 else "xyz " + a for index, a in enumerate(good)]
    first = write(project / "a.jsonl", [*changed[:3], *good[3:]], references)
    second = write(project / "b.jsonl", [*good[:57], *changed[57:]], references)
    assert lingolite("compare", first, second, "--fail-on-regression").code == 0
    assert lingolite("compare", first, write(project / "c.jsonl", other, references), "--fail-on-regression").code == 3


def test_runs_tell_what_changed_and_which_budget_broke(with_echo: Command, project: Path) -> None:
    assert with_echo("run", RECIPE).code == 0
    assert with_echo("run", RECIPE, "--set", "verify.budget.size_ratio_max=0.4", "--set", "seed=18").code == 3
    first, second = sorted(
        runs(project, "small"), key=lambda run: json.loads((run / "manifest.json").read_text())["seed"]
    )
    outcome = with_echo("compare", first, second, "--fail-on-regression", "--json")
    assert outcome.code == 3
    found = json.loads(outcome.out)
    assert [comparison["name"] for comparison in found["comparisons"]] == ["baseline", "shipped"]
    assert {(drift["what"], drift["before"], drift["after"]) for drift in found["changes"]["setup"]} == {
        ("seed", "17", "18"),
        ("step `verify`, `budget.size_ratio_max`", "0.9", "0.4"),
    }
    assert len(found["regressions"]) == 1
    assert found["regressions"][0].startswith("verify.size_ratio_max: ")
    shown = with_echo("compare", first, second, "--step", "shipped")
    assert shown.code == 0, shown.err
    assert "baseline:" not in shown.out
    assert "verify.size_ratio_max" in shown.out


def test_artifacts_are_evaluated_on_the_test_set(with_echo: Command, project: Path) -> None:
    assert with_echo("quantize", "--method", "fp16", "--out", "half").code == 0
    outcome = with_echo("compare", "model", "half")
    assert outcome.code == 0, outcome.err
    assert "21 are the same text" in outcome.out
    assert "no significant regression" in outcome.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("fewer", "60 sentences against 59"),
        ("other", "sentence 3 is not the same in both"),
        ("damaged", "is not a file of translations"),
        ("empty", "has no translations"),
        ("missing", "no such file or directory"),
        ("directory", "is neither a run nor an artifact"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    lingolite: Command, project: Path, texts: tuple[list[str], list[str], list[str]], change: str, said: str
) -> None:
    references, good, _ = texts
    first, second = write(project / "a.jsonl", good, references), project / "b.jsonl"
    if change == "fewer":
        write(second, good[:59], references[:59])
    elif change == "other":
        write(second, good, references, ["changed" if index == 2 else line for index, line in enumerate(references)])
    elif change == "damaged":
        second.write_text("hello\n", encoding="utf-8")
    elif change == "empty":
        second.write_text("", encoding="utf-8")
    elif change == "directory":
        second.mkdir()
    outcome = lingolite("compare", first, second)
    assert outcome.code == 2
    assert said in outcome.err


def test_a_step_must_be_there_and_be_named(with_echo: Command, project: Path) -> None:
    assert with_echo("run", RECIPE).code == 0
    (run,) = runs(project, "small")
    outcome = with_echo("compare", run, run, "--step", "shiped")
    assert outcome.code == 2
    assert "there are: baseline, shipped" in outcome.err
    file = run / "translations" / "shipped.jsonl"
    outcome = with_echo("compare", file, run)
    assert outcome.code == 2
    assert "hint: choose one: --step NAME" in outcome.err
    assert with_echo("compare", file, run, "--step", "baseline").code == 0


def test_runs_tell_of_other_plugins_instructions_and_artifacts(with_echo: Command, project: Path) -> None:
    assert with_echo("run", RECIPE).code == 0
    (first,) = runs(project)
    second = Path(shutil.copytree(first, project / "second"))
    manifest = json.loads((second / "manifest.json").read_text())
    echoes = [plugin for step in manifest["steps"] for plugin in step["plugins"] if plugin["name"] == "echo"]
    version = echoes[0]["version"]
    for plugin in echoes:
        plugin["version"] = "99.0"
    artifact = manifest["steps"][1]["result"]["artifact"]
    digest, artifact["digest"] = artifact["digest"], "0" * 64
    manifest["environment"]["cpu_features"].append("of-tomorrow")
    (second / "manifest.json").write_text(json.dumps(manifest))
    found = with_echo("compare", first, second, "--json").json
    assert [(drift["what"], drift["before"], drift["after"]) for drift in found["changes"]["setup"]] == [
        ("backend `echo`", f"lingolite-echo {version}", "lingolite-echo 99.0"),
        ("CPU feature", None, "of-tomorrow"),
        ("artifact of step `half`", f"{digest[:12]}…", f"{'0' * 12}…"),
    ]


def test_sources_and_references_are_held_once_for_both_systems(
    lingolite: Command,
    project: Path,
    texts: tuple[list[str], list[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    references, good, bad = texts
    first, second = write(project / "a.jsonl", good, references), write(project / "b.jsonl", bad, references)
    compare = system_comparison.compare_translations
    held: set[int] = set()

    def observed(*systems: Translations, **options: Any) -> object:
        gc.collect()
        all_held = [found for found in gc.get_objects() if type(found) is Translations]
        of_these = [found for found in all_held if [row[0] for row in found.references] == references]
        held.update(id(found.references) for found in of_these)  # other tests hold their own
        return compare(*systems, **options)

    monkeypatch.setattr(system_comparison, "compare_translations", observed)
    assert lingolite("compare", first, second, "--metrics", "bleu", "--json").code == 0
    assert len(held) == 1
