"""What tests of several packages share: checkpoints and bundles, a project, the command, and third-party plugins."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from command_line import Outcome, install_distribution, make_project, read_run, run_command, runs

from lingolite_cli.app import main
from lingolite_cli.artifact import Artifact
from lingolite_cli.runs.record import RunManifest

THIRD_PARTY = Path(__file__).parent / "third_party"
EXISTING = Path(__file__).parent / "data" / "existing-checkpoint"

MOST_PROCESSES = 4
"""Each of them loads torch and ONNX Runtime: about 1 GB."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """The whole suite runs in a process for each core; files that are named and slow tests, in this one alone."""
    is_partial = any(".py" in argument for argument in config.args)
    is_default = config.option.markexpr in config.getini("addopts")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES) if is_default and not is_partial and cores > 1 else 0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of which `-m` wants no test are not imported: importing all of them takes ten seconds.

    With `-m web` those are the files without that marker, and with `-m "not web"` the files that are marked as a whole.
    """
    expression = config.option.markexpr
    terms = [] if " or " in expression else expression.split(" and ")
    if not terms or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    of_all = next((line for line in text.splitlines() if line.startswith("pytestmark = ")), "")
    wanted = [term for term in terms if term.isidentifier()]
    unwanted = [term.removeprefix("not ") for term in terms if term.startswith("not ")]
    is_wanted = all(f"mark.{marker}" in text for marker in wanted)
    is_unwanted = any(re.search(rf"mark\.{marker}\b", of_all) for marker in unwanted)
    return True if is_unwanted or not is_wanted else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests share an expensive fixture come first.

    A process that has nothing left to do takes tests from the end of another's list, and makes their fixtures again.
    """
    items.sort(key=lambda item: item.get_closest_marker("expensive_fixture") is None)


def pytest_configure(config: pytest.Config) -> None:
    """Tables have the width of no terminal, and processes side by side do not fight for the cores."""
    os.environ.pop("COLUMNS", None)
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def existing_checkpoint() -> Path:
    """A checkpoint with random weights, written by the code that LingoLite checkpoints come from."""
    return EXISTING / "checkpoint.pt"


@pytest.fixture(scope="session")
def expected() -> dict[str, np.ndarray]:
    """What that code computes with it; see the README beside it."""
    with np.load(EXISTING / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of 97 pieces, as many as the existing checkpoint has, for `en` and `da`."""
    directory = tmp_path_factory.mktemp("tokenizer")
    words = "the cat sat on a mat dog ran in fog red house blue boat katten sad på måtten hund løb tåge hus båd"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            [words, words[::-1], "<>/0123456789 abcdefghijklmnopqrstuvwxyzæøå ABCDEFGHIJKLMNOPQRSTUVWXYZ"] * 40
        ),
        model_prefix=str(directory / "small"),
        vocab_size=97,
        character_coverage=1.0,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        user_defined_symbols=["<src>", "<tgt>", "<en>", "<da>"],
        minloglevel=2,
    )
    return directory / "small.model"


@pytest.fixture(scope="session")
def existing_bundle(
    existing_checkpoint: Path, small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The existing checkpoint as a bundle. Not to be written to."""
    from lingolite_cli.model import import_checkpoint

    return import_checkpoint(existing_checkpoint, small_tokenizer, tmp_path_factory.mktemp("b") / "bundle")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny bundle of `lingolite_cli.testing`. Not to be written to."""
    from lingolite_cli.testing import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


@pytest.fixture(scope="session")
def install_plugin(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a distribution of tests/third_party with pip and installs it into a directory of its own."""

    @cache
    def install(name: str) -> Path:
        root = tmp_path_factory.mktemp(name)
        # setuptools builds in the source tree, which shall stay as it is.
        source = shutil.copytree(THIRD_PARTY / name, root / "source")
        return install_distribution(source, root / "site")

    return install


@pytest.fixture(scope="session")
def echo(install_plugin: Callable[[str], Path]) -> Path:
    """Where the distribution `lingolite-echo` is installed: the backend `echo` and the metric `exact`."""
    return install_plugin("echo")


@pytest.fixture
def project(tiny: Artifact, tmp_path: Path) -> Path:
    """A project with the tiny bundle, a test set whose references are its sources, and recipes/small.toml."""
    return make_project(tmp_path / "project", tiny)


@pytest.fixture(scope="session")
def finished_project(tiny: Artifact, echo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `project`, after one run of recipes/small.toml with its lock. Not to be written to."""
    root = make_project(tmp_path_factory.mktemp("finished") / "project", tiny)
    outcome = run_command("run", "recipes/small.toml", "--lock", cwd=root, plugins=[echo])
    assert outcome.code == 0, outcome.err
    return root


@pytest.fixture
def finished(project: Path, finished_project: Path) -> RunManifest:
    """The manifest of the run of recipes/small.toml that `project` then has, with its lock."""
    shutil.copytree(finished_project, project, dirs_exist_ok=True)
    return read_run(runs(project)[0])


@pytest.fixture
def lingolite(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """The command, in this process and with the installed plugins only; it starts in the project unless told."""

    def call(*arguments: str | Path, cwd: Path = project, stdin: bytes = b"") -> Outcome:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["lingolite", *map(str, arguments)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            with pytest.raises(SystemExit) as end:
                main()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def with_echo(echo: Path, lingolite: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """As `lingolite`, with the distribution `lingolite-echo` installed."""
    monkeypatch.syspath_prepend(str(echo))
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{echo}{os.pathsep}{inherited}" if inherited else str(echo))
    return lingolite


WORDS = "the cat sat on a mat dog ran in fog red house blue boat".split()


@pytest.fixture(scope="session")
def parallel_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 pairs whose target is the source's words reversed, as TSV."""
    lines = []
    for index in range(30):
        words = [WORDS[(index * step + shift) % len(WORDS)] for step, shift in ((1, 0), (3, 5), (5, 2), (11, 9))]
        lines.append(f"{' '.join(words)}\t{' '.join(reversed(words))}\n")
    path = tmp_path_factory.mktemp("text") / "train.tsv"
    path.write_text("".join(lines), encoding="utf-8")
    return path
