"""What a lock is for: the same recipe from nothing comes out the same, and whatever is changed is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import Outcome, contents, run_command

from lingolite_cli.artifact import read_manifest, write_manifest
from lingolite_cli.schema import read_toml

Command = Callable[..., Outcome]
LOCK = "recipes/small.lock.toml"

SHIPPED = """\
schema = 1
name = "small"

[inputs]
model = { bundle = "model" }
test = { source = "en/test.txt", references = ["da/test.txt"], languages = ["en", "da"] }

[[steps]]
id = "int8"
uses = "quantize"

[[steps]]
id = "half"
uses = "quantize"
method = "fp16"

[[steps]]
id = "onnx"
uses = "export"
model = "int8"

[[steps]]
id = "shipped"
uses = "evaluate"
model = "onnx"
backend = "onnx"
metrics = ["bleu", "chrf", "exact"]
metric_options = { exact = { accepted = "accepted.txt" } }
max_samples = 5
decoding = { max_length = 12 }

[[steps]]
id = "echoed"
uses = "evaluate"
model = "half"
backend = "echo"
"""


@pytest.fixture
def shipped(project: Path) -> Path:
    """The project with a recipe that quantizes and exports, and a text in two files of one name."""
    lines = [line.split("\t") for line in (project / "test.tsv").read_text(encoding="utf-8").splitlines()]
    for directory, column in (("en", 0), ("da", 1)):
        (project / directory).mkdir()
        text = "".join(f"{line[column]}\n" for line in lines)
        (project / directory / "test.txt").write_text(text, encoding="utf-8")
    (project / "accepted.txt").write_text("Vejret er godt .\n", encoding="utf-8")
    (project / "recipes" / "small.toml").write_text(SHIPPED, encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def _locks() -> dict[str, bytes]:
    """The lock of that recipe, once it was made."""
    return {}


@pytest.fixture
def locked(with_echo: Command, shipped: Path, _locks: dict[str, bytes]) -> Command:
    """The command in that project beside the lock of a finished run, with nothing cached."""
    if not _locks:
        outcome = with_echo("run", "recipes/small.toml", "--lock")
        assert outcome.code == 0, outcome.err
        _locks["small"] = (shipped / LOCK).read_bytes()
        for name in (".lingolite", "runs"):
            shutil.rmtree(shipped / name)
    (shipped / LOCK).write_bytes(_locks["small"])
    return with_echo


def refused(command: Command, project: Path, *arguments: str) -> str:
    """What is said of a run that is not the locked one, before anything is done."""
    before = contents(project)
    outcome = command("run", "recipes/small.toml", "--locked", *arguments)
    assert outcome.code == 2, outcome.err
    assert contents(project) == before
    return outcome.err


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_another_process_elsewhere_comes_to_the_same_from_nothing(locked: Command, shipped: Path, echo: Path) -> None:
    """Digests of all artifacts and all scores, to the last digit."""
    elsewhere = Path(shutil.copytree(shipped, shipped.parent / "elsewhere"))
    outcome = run_command("run", "recipes/small.toml", "--locked", cwd=elsewhere, plugins=[echo])
    assert outcome.code == 0, outcome.err
    lock = read_toml(elsewhere / LOCK)
    made = {step["id"]: step.get("artifact") for step in lock["steps"]}
    assert [name for name, digest in made.items() if digest] == ["int8", "half", "onnx"]
    assert ", 0 from the cache" in outcome.out


@pytest.mark.parametrize("file", ["en/test.txt", "da/test.txt"])
def test_one_byte_of_a_text_is_named(locked: Command, shipped: Path, file: str) -> None:
    flip(shipped / file)
    assert f"input `test`, file `{file}`: " in refused(locked, shipped)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.model"])
def test_one_byte_of_a_model_is_named(locked: Command, shipped: Path, file: str) -> None:
    """As damage where its manifest tells otherwise, as another input where the manifest was made anew."""
    flip(shipped / "model" / file)
    assert f"model/{file} was changed: its SHA-256 is not the one in the manifest" in refused(locked, shipped)
    write_manifest(shipped / "model", read_manifest(shipped / "model"))
    said = refused(locked, shipped)
    assert f"input `model`, file `{file}`: " in said
    assert said.count("input `") == 1


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        (
            "recipes/small.toml",
            "max_samples = 5",
            "max_samples = 6",
            "step `shipped`, option `max_samples`: 6, locked 5",
        ),
        ("recipes/small.toml", "max_length = 12", "max_length = 13", "option `decoding.max_length`: 13, locked 12"),
        ("recipes/small.toml", 'model = "half"', 'model = "int8"', "error: recipes/small.toml: step `echoed`, `model`"),
        (
            "lingolite.toml",
            "[defaults.evaluate]",
            "[defaults.evaluate]\nbatch_size = 7",
            "option `batch_size`: 7, locked 32",
        ),
        ("lingolite.toml", 'metrics = ["bleu"]', 'metrics = ["chrf"]', "step `echoed`, metric `bleu`: gone; locked "),
    ],
)
def test_one_option_is_named(locked: Command, shipped: Path, file: str, before: str, after: str, said: str) -> None:
    text = (shipped / file).read_text(encoding="utf-8")
    assert text.count(before) == 1
    (shipped / file).write_text(text.replace(before, after), encoding="utf-8")
    assert said in refused(locked, shipped)


def test_one_option_of_a_plugin_is_named(locked: Command, shipped: Path) -> None:
    said = refused(locked, shipped, "--set", "echoed.options.skip_every=3")
    assert "step `echoed`, backend `echo`, option `skip_every`: 3, locked 0" in said


def test_one_byte_of_a_file_that_an_option_names_is_named(locked: Command, shipped: Path) -> None:
    flip(shipped / "accepted.txt")
    said = refused(locked, shipped)
    assert "step `shipped`, metric `exact`, file `accepted.txt`: " in said
    assert said.count(", locked ") == 1


def test_one_package_version_is_named(
    locked: Command, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version is installed in front of the one that was locked."""
    planted = tmp_path / "site" / "sentencepiece-0.0.1.dist-info"
    planted.mkdir(parents=True)
    (planted / "METADATA").write_text("Metadata-Version: 2.1\nName: sentencepiece\nVersion: 0.0.1\n")
    monkeypatch.syspath_prepend(planted.parent)
    monkeypatch.setattr("lingolite_cli.environment._distribution_version", version)  # a process asks once
    said = refused(locked, shipped)
    assert "package `sentencepiece`: 0.0.1, locked " in said
    assert said.count("package `") == 1


def test_one_plugin_version_is_named(
    locked: Command, shipped: Path, echo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = Path(shutil.copytree(echo, tmp_path / "site"))
    (metadata,) = newer.glob("*.dist-info/METADATA")
    (version,) = (line for line in metadata.read_text().splitlines() if line.startswith("Version: "))
    metadata.write_text(metadata.read_text().replace(version, "Version: 99.0"))
    monkeypatch.syspath_prepend(newer)
    said = refused(locked, shipped)
    for plugin in ("step `echoed`, backend `echo`", "step `shipped`, metric `exact`"):
        assert f"{plugin}: lingolite-echo 99.0, locked lingolite-echo " in said
    assert said.count(", locked ") == 2
