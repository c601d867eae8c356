"""Recipes that cannot run are refused before anything heavy loads, with nothing on disk changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import RECIPE, Outcome, contents, environment

from lingolite_cli.recipe.plan import read_recipe
from lingolite_cli.settings import find_project

Command = Callable[..., Outcome]


MISTAKES = {
    "misspelt key": (
        ('uses = "evaluate"\nmetrics', 'uses = "evaluate"\nmetrcs'),
        "step `baseline`: unknown key `metrcs`",
        "did you mean `metrics`?",
    ),
    "misspelt top-level key": (
        ('name = "small"', 'name = "small"\nsede = 3'),
        "unknown key `sede` = 3",
        "did you mean `seed`?",
    ),
    "unknown kind of step": (
        ('uses = "quantize"', 'uses = "quantise"'),
        'step `half`, `uses`: invalid value, not "quantise"',
        "did you mean `quantize`?",
    ),
    "wrong type": (
        ('uses = "evaluate"\nmetrics', 'uses = "evaluate"\nbatch_size = "many"\nmetrics'),
        'step `baseline`, `batch_size`: expected `int`, not "many"',
        None,
    ),
    "out of range": (
        ('candidate = "shipped"', 'candidate = "shipped"\nresamples = 5'),
        "step `verify`, `resamples`: expected `int` >= 100, not 5",
        None,
    ),
    "seed below zero": (('name = "small"', 'name = "small"\nseed = -1'), "`seed`: expected `int` >= 0, not -1", None),
    "seed that no generator takes": (
        ('name = "small"', 'name = "small"\nseed = 9223372036854775808'),
        "`seed`: expected `int` <= 9223372036854775807, not 9223372036854775808",
        None,
    ),
    "no steps": (
        (RECIPE[RECIPE.index("[inputs]") :], "steps = []\n"),
        "recipes/wrong.toml has no steps",
        "`lingolite init` writes a recipe to start from",
    ),
    "no file where an option names one": (
        (
            'uses = "evaluate"\nmetrics',
            'uses = "evaluate"\nmetric_options = { exact = { accepted = "no.txt" } }\nmetrics',
        ),
        "step `baseline`, options of metric `exact`: no such file: no.txt",
        None,
    ),
    "limit that is none": (
        ("bleu_drop_max = 20", "bleu_drop_max = nan"),
        "step `verify`, `budget.bleu_drop_max`: must be finite, not nan",
        "for example bleu_drop_max = 0.5",
    ),
    "limit that nothing breaks": (
        ("size_ratio_max = 0.9", "size_ratio_max = inf"),
        "step `verify`, `budget.size_ratio_max`: must be finite, not inf",
        "for example size_ratio_max = 0.5",
    ),
    "more translations than are scored": (
        ('uses = "evaluate"\nmetrics', 'uses = "evaluate"\ndecoding = { beam_size = 2, n_best = 2 }\nmetrics'),
        "step `baseline`, `decoding.n_best`: the best translation alone is scored",
        "leave n_best out",
    ),
    "wrong decoding": (
        ('uses = "evaluate"\nmetrics', 'uses = "evaluate"\ndecoding = { beam_sise = 2 }\nmetrics'),
        "recipes/wrong.toml: step `baseline`, decoding: unknown key `beam_sise` = 2",
        "did you mean `beam_size`?",
    ),
    "table that is a number": (
        ("[steps.budget]\nbleu_drop_max = 20\nsize_ratio_max = 0.9\n", "budget = 1\n"),
        "step `verify`, `budget`: expected `table`, not 1",
        None,
    ),
    "no name": (('name = "small"\n', ""), "missing required field `name`", None),
    "other schema": (("schema = 1", "schema = 9"), "schema is 9; this version reads 1", None),
    "name that is a path": (
        ('name = "small"', 'name = "../small"'),
        "`name`: expected `str` matching regex '^[A-Za-z][A-Za-z0-9_-]*$', not \"../small\"",
        None,
    ),
    "later step": (
        ('id = "baseline"\nuses = "evaluate"', 'id = "baseline"\nuses = "evaluate"\nmodel = "half"'),
        "step `baseline`, `model`: refers to a later step, `half`",
        "steps refer backwards only; reorder them",
    ),
    "itself": (
        ('method = "fp16"', 'method = "fp16"\nmodel = "half"'),
        "step `half`, `model`: refers to this very step, `half`",
        "steps refer backwards only; reorder them",
    ),
    "unknown step": (
        ('model = "half"', 'model = "hlaf"'),
        "step `shipped`, `model`: there is no `hlaf`",
        "did you mean `half`?",
    ),
    "step without an artifact": (
        ('model = "half"', 'model = "baseline"'),
        "step `shipped`, `model`: step `baseline` makes no artifact",
        "artifacts so far: inputs.model, half",
    ),
    "wrong kind of step": (
        ('reference = "baseline"', 'reference = "half"'),
        "step `verify`, `reference`: step `half` is of kind quantize, not evaluate",
        "known: baseline, shipped",
    ),
    "corpus for a model": (
        ('model = "half"', 'model = "inputs.test"'),
        "step `shipped`, `model`: there is no `inputs.test`",
        "did you mean `inputs.model`?",
    ),
    "unknown corpus": (
        ('uses = "evaluate"\nmetrics', 'uses = "evaluate"\ncorpus = "inputs.tset"\nmetrics'),
        "step `baseline`, `corpus`: there is no `inputs.tset`",
        "did you mean `inputs.test`?",
    ),
    "unknown plugin": (
        ('method = "fp16"', 'method = "fp61"'),
        "step `half`, `method`: there is no quantizer called `fp61`",
        "did you mean `fp16`? (`lingolite plugins list` shows all)",
    ),
    "unknown metric": (
        ('metrics = ["bleu", "exact"]\n\n[[steps]]\nid = "half"', 'metrics = ["belu"]\n\n[[steps]]\nid = "half"'),
        "step `baseline`, `metrics`: there is no metric called `belu`",
        "did you mean `bleu`? (`lingolite plugins list` shows all)",
    ),
    "duplicate ids": (
        ('id = "half"', 'id = "baseline"'),
        "steps 1 and 2 have the same id `baseline`",
        "give one of them another id",
    ),
    "unknown budget": (
        ("size_ratio_max = 0.9", "size_ratio_mx = 0.9"),
        "step `verify`, `budget.size_ratio_mx`: there is no such budget here",
        "did you mean `size_ratio_max`?",
    ),
    "budget on a metric that is not measured": (
        ("bleu_drop_max", "chrf_drop_max"),
        "step `verify`, `budget.chrf_drop_max`: there is no such budget here",
        "did you mean `exact_drop_max`?",
    ),
    "budget that is not a number": (
        ("size_ratio_max = 0.9", 'size_ratio_max = "small"'),
        'step `verify`, `budget.size_ratio_max`: expected `float`, not "small"',
        None,
    ),
    "format that the backend does not read": (
        ('model = "half"', 'model = "half"\nbackend = "onnx"'),
        "step `shipped`, `model`: `half` is of format bundle-fp16, and backend `onnx` reads onnx",
        'add a step before it: uses = "export", format = "onnx"',
    ),
    "format that needs a quantizer": (
        ('uses = "evaluate"\nmetrics', 'uses = "evaluate"\nbackend = "int8"\nmetrics'),
        "step `baseline`, `model`: `inputs.model` is of format bundle, and backend `int8` reads bundle-int8",
        'add a step before it: uses = "quantize", method = "dynamic-int8"',
    ),
    "unknown plugin option": (
        ('model = "half"', 'model = "half"\noptions = { skip = 3 }'),
        "step `shipped`, options of backend `echo`: unknown key `skip` = 3",
        "known: failing_length, fatal, fatal_length, gate, gate_length, skip_every, suffix",
    ),
    "wrong type of plugin option": (
        ('model = "half"', 'model = "half"\noptions = { skip_every = 0.5 }'),
        "step `shipped`, options of backend `echo`: `skip_every`: expected `int`, not 0.5",
        None,
    ),
    "options of a metric that is not used": (
        ('model = "half"', 'model = "half"\nmetric_options = { chrf = { word_order = 2 } }'),
        "step `shipped`, `metric_options.chrf`: the step has no metric `chrf`",
        "metrics: ['bleu', 'exact']",
    ),
    "other decoding key": (
        ('model = "half"', 'model = "half"\ndecoding = { beams = 2 }'),
        "unknown key `beams` = 2",
        "did you mean `beam_size`?",
    ),
    "longer than the model": (
        ('model = "half"', 'model = "half"\ndecoding = { max_length = 49 }'),
        "step `shipped`, `decoding.max_length`: 49 is more than the 48 positions that the model has",
        None,
    ),
    "verify of different sentences": (
        ('model = "half"', 'model = "half"\nmax_samples = 7'),
        "step `verify`, `candidate`: `baseline` and `shipped` translate different sentences "
        "(inputs.test and inputs.test, max_samples 7)",
        "a paired verdict needs both on the same corpus with the same max_samples",
    ),
    "language that the model does not know": (
        ('languages = ["en", "da"]', 'languages = ["en", "nl"]'),
        "step `baseline`, `corpus`: `inputs.test` is in `nl`, which the model does not know",
        "the model knows en, da",
    ),
    "one language twice": (
        ('languages = ["en", "da"]', 'languages = ["da", "da"]'),
        "step `baseline`, `corpus`: source and target of `inputs.test` are the same language, `da`",
        None,
    ),
    "text without references": (
        ('{ tsv = "test.tsv", languages', '{ source = "test.tsv", languages'),
        "step `baseline`, `corpus`: `inputs.test` has no references to score against",
        None,
    ),
    "unknown reporter": (
        ('reporters = ["markdown"]', 'reporters = ["mardown"]'),
        "step `report`, `reporters`: there is no reporter called `mardown`",
        "did you mean `markdown`? (`lingolite plugins list` shows all)",
    ),
    "not TOML": (("[inputs]", "[inputs"), "recipes/wrong.toml is not TOML: ", None),
}


@pytest.mark.parametrize(("change", "message", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_place_and_a_hint(
    with_echo: Command, project: Path, change: tuple[str, str], message: str, hint: str | None
) -> None:
    old, new = change
    assert old in RECIPE
    (project / "recipes" / "wrong.toml").write_text(RECIPE.replace(old, new, 1))
    before = contents(project)
    checked = with_echo("recipes", "check", "recipes/wrong.toml")
    assert checked.code == 2
    assert checked.out == ""
    first, *rest = checked.err.splitlines()
    assert first.startswith("error: ")
    assert "recipes/wrong.toml" in first or message.startswith("unknown key `beams`")
    assert message in first
    assert rest == ([] if hint is None else ["", f"hint: {hint}"])
    assert with_echo("run", "recipes/wrong.toml") == checked, "`run` refuses with the same words"
    assert contents(project) == before


@pytest.mark.parametrize(
    ("file", "message", "hint"),
    [
        ("test.tsv", "inputs.test: no such file: {root}/test.tsv", "paths are relative to {root}"),
        ("model", "inputs.model: no such directory: {root}/model", "an artifact is a directory; make one with "),
    ],
)
def test_a_missing_input_is_named(with_echo: Command, project: Path, file: str, message: str, hint: str) -> None:
    (project / file).rename(project / "elsewhere")
    before = contents(project)
    outcome = with_echo("run", "recipes/small.toml")
    assert outcome.code == 2
    assert outcome.err.startswith(
        f"error: recipes/small.toml: {message.format(root=project)}\n\nhint: {hint.format(root=project)}"
    )
    assert contents(project) == before


@pytest.mark.parametrize(
    ("overrides", "table"),
    [
        ({"inputs.test.tsv": "mine.tsv"}, {"tsv": "mine.tsv", "languages": ["en", "da"]}),
        ({"inputs.test.corpus": "shards"}, {"corpus": "shards"}),
        (
            {"inputs.test.pairs": "mine.tsv.gz", "inputs.test.short_share": "0.5"},
            {"pairs": "mine.tsv.gz", "short_share": 0.5},
        ),
        (
            {"inputs.test.references": '["mine.da"]', "inputs.test.source": "mine.en"},
            {"source": "mine.en", "references": ["mine.da"], "languages": ["en", "da"]},
        ),
        ({"inputs.test.test_set": "wmt19"}, {"test_set": "wmt19", "languages": ["en", "da"]}),
        ({"inputs.new.bundle": "other"}, {"bundle": "other"}),
    ],
    ids=["the same kind", "corpus", "pairs", "source", "public test set", "a new input"],
)
def test_an_input_can_be_set_to_another_kind(
    project: Path, overrides: dict[str, str], table: dict[str, object]
) -> None:
    recipe = read_recipe(project / "recipes" / "small.toml", find_project(project), overrides=overrides)
    name = next(iter(overrides)).split(".")[1]
    assert recipe.inputs[name] == table


def test_a_missing_file_with_a_like_name_beside_it_is_suggested(with_echo: Command, project: Path) -> None:
    (project / "test.tsv").rename(project / "tests.tsv")
    outcome = with_echo("run", "recipes/small.toml")
    assert outcome.err.endswith(f"hint: did you mean `{project / 'tests.tsv'}`?\n")


def test_refusing_a_recipe_loads_nothing_heavy(project: Path, echo: Path) -> None:
    (project / "recipes" / "wrong.toml").write_text(RECIPE.replace("size_ratio_max", "size_max"))
    script = (
        "import sys\nfrom lingolite_cli.app import main\ntry:\n    main()\nexcept SystemExit as end:\n"
        "    heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'sentencepiece', 'rich'} & sys.modules.keys()\n"
        "    print(end.code, *heavy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "recipes/wrong.toml"],
        cwd=project,
        env=environment([echo]),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "2\n"


@pytest.mark.parametrize("arguments", [("eval",), ("recipes", "check", "recipes/small.toml")], ids=["eval", "recipe"])
def test_defaults_for_no_kind_of_step_are_refused(
    with_echo: Command, project: Path, arguments: tuple[str, ...]
) -> None:
    settings = (project / "lingolite.toml").read_text()
    (project / "lingolite.toml").write_text(settings.replace("[defaults.evaluate]", "[defaults.evaluat]"))
    outcome = with_echo(*arguments)
    message = "error: lingolite.toml: unknown key `defaults.evaluat`: there is no such kind of step\n"
    assert outcome == Outcome(2, "", f"{message}\nhint: did you mean `evaluate`?\n")


def test_a_valid_recipe_is_checked_without_running(with_echo: Command, project: Path) -> None:
    before = contents(project)
    outcome = with_echo("recipes", "check", "recipes/small.toml")
    assert outcome == Outcome(0, "recipes/small.toml: 5 steps, nothing wrong found\n", "")
    assert contents(project) == before


def test_a_recipe_is_found_from_a_sub_directory(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "small.toml", cwd=project / "recipes")
    assert outcome.code == 0
    assert (project / "runs" / "small").is_dir()
    assert "run: ../runs/small/" in outcome.out


def test_recipes_are_listed_and_shown(with_echo: Command, project: Path) -> None:
    (project / "recipes" / "small.lock.toml").write_text("not = 'a recipe'")
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text() + "batch_size = 7\n")
    listed = with_echo("recipes", "list", "--json").json
    assert [recipe["name"] for recipe in listed] == ["small"]
    shown = with_echo("recipes", "show", "recipes/small.toml", "--json").json
    assert [step["id"] for step in shown["steps"]] == ["baseline", "half", "shipped", "verify", "report"]
    assert shown["steps"][0]["batch_size"] == 7, "the project's default is merged under the step"
    assert json.dumps(shown["steps"][3]["budget"]) == '{"bleu_drop_max": 20.0, "size_ratio_max": 0.9}'


def test_the_projects_backend_holds_where_it_runs_the_artifact(with_echo: Command, project: Path) -> None:
    """As in `eval`: another artifact of the same recipe takes one that runs it."""
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text().replace('backend = "echo"', 'backend = "eager"'))
    (project / "recipes" / "mixed.toml").write_text(
        'schema = 1\nname = "mixed"\n[inputs]\nmodel = { bundle = "model" }\n'
        'test = { tsv = "test.tsv", languages = ["en", "da"] }\n'
        '[[steps]]\nid = "float"\nuses = "evaluate"\n'
        '[[steps]]\nid = "int8"\nuses = "quantize"\nmethod = "dynamic-int8"\n'
        '[[steps]]\nid = "onnx"\nuses = "export"\nmodel = "int8"\n'
        '[[steps]]\nid = "shipped"\nuses = "evaluate"\nmodel = "onnx"\n'
    )
    planned = {step["id"]: step["summary"] for step in with_echo("run", "--plan", "--json", "mixed").json}
    assert "through eager" in planned["float"]
    assert "through onnx" in planned["shipped"]
    # A step that says so itself is taken at its word.
    recipe = project / "recipes" / "mixed.toml"
    recipe.write_text(recipe.read_text() + 'backend = "eager"\n')
    refused = with_echo("recipes", "check", "mixed")
    assert (refused.code, "`eager` reads" in refused.err) == (2, True)
