"""Recipes that no person writes: refused while they are checked, in words, and nothing is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w
from command_line import RECIPE, Outcome, contents

from lingolite_cli.schema import tomllib

Command = Callable[..., Outcome]

HUGE = 10**30
LONG = "a" * 5000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", HUGE),
        ("threads", 0),
        ("threads", HUGE),
        ("threads", 100_000),
        ("baseline.batch_size", HUGE),
        ("baseline.max_batch_tokens", HUGE),
        ("baseline.max_samples", -HUGE),
        ("baseline.workers", 300),
        ("baseline.workers", HUGE),
        ("baseline.model", LONG),
        ("inputs.test.tsv", LONG),
        ("inputs.model.bundle", LONG),
        ("inputs.test.tsv", "a\0b"),
        ("inputs.model.bundle", "a\0b"),
        ("baseline.decoding.max_length", HUGE),
        ("verify.resamples", HUGE),
    ],
    ids=lambda value: str(value)[:20].replace("\0", "0"),
)
def test_value_that_cannot_be_is_refused_by_every_command(
    with_echo: Command, project: Path, key: str, value: object
) -> None:
    data = tomllib.loads(RECIPE)
    *tables, last = key.split(".")
    target = data
    for name in tables:
        steps = {step["id"]: step for step in data["steps"]}
        target = steps[name] if name in steps else target.setdefault(name, {})
    target[last] = value
    (project / "recipes" / "small.toml").write_text(tomli_w.dumps(data))
    before = contents(project)
    for arguments in (("recipes", "check"), ("run", "--plan"), ("run",)):
        outcome = with_echo(*arguments, "recipes/small.toml")
        assert outcome.code == 2, outcome
        assert "Traceback" not in outcome.err
        assert len(outcome.err) < 10_000
    assert contents(project) == before


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 20_000 + "]" * 20_000,
        "x = " + "{a=" * 20_000 + "1" + "}" * 20_000,
        "seed = " + "9" * 10_000,
        "seed = 0x" + "f" * 10_000,
        "x = 1e" + "9" * 10_000,
        ".".join("a" * 3000) + " = 1",
        f"name = '{LONG}'",
        "name = 'small\\n'",
        'name = "small\\n"',
        "\ufeff\ufeff",
    ],
    ids=["array", "table", "number", "hexadecimal", "float", "key", "name", "escape", "newline", "marks"],
)
def test_text_that_breaks_readers_is_refused(with_echo: Command, project: Path, text: str) -> None:
    recipe = project / "recipes" / "odd.toml"
    recipe.write_text(f"schema = 1\n{text}\n" if "name" in text else f"{text}\n{RECIPE}", encoding="utf-8")
    before = contents(project)
    for arguments in (("recipes", "check"), ("run",)):
        outcome = with_echo(*arguments, "recipes/odd.toml")
        assert outcome.code == 2, outcome
        assert "Traceback" not in outcome.err
        assert len(outcome.err) < 2000
    assert contents(project) == before


@pytest.mark.parametrize("name", ["a" * 101, "a\n", "a b", "../a", "å"])
@pytest.mark.parametrize("key", ["name", "id"])
def test_names_that_are_no_file_names_are_refused(with_echo: Command, project: Path, key: str, name: str) -> None:
    data = tomllib.loads(RECIPE)
    (data if key == "name" else data["steps"][0])[key] = name
    (project / "recipes" / "small.toml").write_text(tomli_w.dumps(data))
    assert with_echo("recipes", "check", "recipes/small.toml").code == 2


def test_names_of_a_hundred_characters_run(with_echo: Command, project: Path) -> None:
    recipe = RECIPE.replace('"small"', f'"{"n" * 100}"').replace('"half"', f'"{"h" * 100}"')
    (project / "recipes" / "small.toml").write_text(recipe)
    assert with_echo("run", "recipes/small.toml").code == 0
    assert with_echo("history").code == 0


ODD_VALUES = [
    HUGE, -HUGE, -1, 0, 2**31, 2**63, 2**64, 1e308, float("nan"), float("inf"), True, LONG, "", "\n", "\0", "../..",
    "/", [], {}, [[[]]], {"a": {"b": {}}}, "å" * 300, "inputs.model", "baseline", [HUGE], {"": 1},
]  # fmt: skip


def _places(data: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in items for place in _places(value, (*path, key)))]


def _mutated(seed: int) -> str:
    """The recipe with one to three values, whole tables among them, exchanged for odd ones, or under odd keys."""
    generator = random.Random(seed)
    data = tomllib.loads(RECIPE)
    for _ in range(generator.randint(1, 3)):
        *tables, last = generator.choice([place for place in _places(data) if place])
        target = data
        for key in tables:
            target = target[key]
        value = generator.choice(ODD_VALUES)
        if isinstance(target, dict) and generator.random() < 0.2:
            target[generator.choice(["odd", "", LONG, "a\n", "id"])] = value
        else:
            target[last] = value
    return tomli_w.dumps(data)


@pytest.mark.parametrize(
    "seeds", [range(25), pytest.param(range(25, 700), marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_mutated_recipes_never_end_in_a_traceback(with_echo: Command, project: Path, seeds: range) -> None:
    recipe = project / "recipes" / "small.toml"
    for seed in seeds:
        recipe.write_text(_mutated(seed), encoding="utf-8")
        for arguments in (("recipes", "check"), ("recipes", "show"), ("run", "--plan")):
            outcome = with_echo(*arguments, "recipes/small.toml")
            assert outcome.code in (0, 2, 4), (seed, arguments, outcome)
            assert "Traceback" not in outcome.err, (seed, arguments)
