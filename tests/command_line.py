"""How tests drive the command line, and the project that they drive it in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.history.store import HistoryStore
from lingolite_cli.runs.record import RunManifest


def settings(source: str = "en", target: str = "da", *, tables: str = "") -> str:
    """`lingolite.toml` of a project with a model, a test set, and the text of further tables."""
    languages = f'languages = ["{source}", "{target}"]\n'
    test = f'[test]\ntsv = "test.tsv"\n{languages}'
    return f'schema = 1\nmodel = "model"\n{languages}threads = 1\n\n{test}{tables and chr(10)}{tables}'


ECHO = """\
[defaults.evaluate]
backend = "echo"
metrics = ["bleu"]
"""

RECIPE = """\
schema = 1
name = "small"

[inputs]
model = { bundle = "model" }
test = { tsv = "test.tsv", languages = ["en", "da"] }

[[steps]]
id = "baseline"
uses = "evaluate"
metrics = ["bleu", "exact"]

[[steps]]
id = "half"
uses = "quantize"
method = "fp16"

[[steps]]
id = "shipped"
uses = "evaluate"
model = "half"
metrics = ["bleu", "exact"]

[[steps]]
id = "verify"
uses = "verify"
reference = "baseline"
candidate = "shipped"
[steps.budget]
bleu_drop_max = 20
size_ratio_max = 0.9

[[steps]]
id = "report"
uses = "report"
reporters = ["markdown"]
"""
"""Five steps that take a moment: the third-party backend `echo` runs them.

With 21 sentences, all translated alike, the guarded bound of the loss is large: no smaller budget is met.
"""

GATED = RECIPE.replace('model = "half"', 'model = "half"\noptions = { gate = "gate" }')
"""The same with a step that waits at a file."""

UNDER_TEST = tuple(
    dict.fromkeys(
        Path(package.submodule_search_locations[0]).parent
        for package in map(find_spec, ("lingolite_cli", "lingolite_torch"))
        if package is not None and package.submodule_search_locations
    )
)
"""Where the packages that the tests import are found."""


class Outcome(NamedTuple):
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout, which must be one JSON document."""
        return json.loads(self.out)


def write_project(root: Path, files: Mapping[str, str], *, settings: str, bundle: Artifact | None = None) -> Path:
    """A project with text files by their paths in it, and perhaps a bundle called `model`."""
    root.mkdir(parents=True, exist_ok=True)
    for name, text in {"lingolite.toml": settings, **files}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    if bundle is not None:
        shutil.copytree(bundle.path, root / "model")
    return root


def same_on_both_sides(lines: Iterable[str]) -> str:
    """A test set as TSV, whose references are its sources."""
    return "".join(f"{line}\t{line}\n" for line in lines)


def make_project(root: Path, bundle: Artifact) -> Path:
    """A project with a bundle, a test set whose references are its sources, and recipes/small.toml."""
    from lingolite_cli.testing import SENTENCES

    # Three times, with a number: enough sentences for a verdict, and all of them different.
    test = same_on_both_sides(f"{sentence} {number}" for number in range(3) for sentence in SENTENCES)
    files = {"test.tsv": test, "recipes/small.toml": RECIPE}
    return write_project(root, files, settings=settings(tables=ECHO), bundle=bundle)


def command(*arguments: str | Path) -> list[str]:
    """The real command."""
    return [sys.executable, "-m", "lingolite_cli", *map(str, arguments)]


def environment(plugins: Sequence[Path] = (), variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a command that runs the code under test and finds the distributions in `plugins`."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LINGOLITE_BLOCK")}
    return {
        **inherited,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, [*plugins, *UNDER_TEST])),
        **(variables or {}),
    }


def run_command(
    *arguments: str | Path,
    cwd: Path,
    plugins: Sequence[Path] = (),
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """Run the command in a process of its own."""
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        input=stdin,
        env=environment(plugins, variables),
        capture_output=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def install_distribution(source: Path, target: Path) -> Path:
    """Build the distribution in `source` with pip, install it into `target`, and return that."""
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def read_run(directory: Path) -> RunManifest:
    """The manifest of a run, decoded strictly."""
    return msgspec.json.decode((directory / "manifest.json").read_bytes(), type=RunManifest)


def runs(project: Path, name: str = "small") -> list[Path]:
    """The directories of a recipe's runs, oldest first."""
    found = [path for path in (project / "runs" / name).iterdir() if not path.name.startswith(".")]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, by its relative path."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@contextmanager
def closed_gate(project: Path) -> Iterator[None]:
    """While the block lasts, whoever reads the gate waits; afterwards it is an empty file."""
    gate = project / "gate"
    os.mkfifo(gate)
    writer = os.open(gate, os.O_RDWR)
    try:
        yield
    finally:
        os.close(writer)
        gate.unlink()
        gate.touch()


def finished_shards(job: Path) -> dict[Path, int]:
    """The shards that the journal of a job has as finished, and when each was written."""
    lines = (job / "job.jsonl").read_bytes().splitlines(keepends=True)[1:]
    indices = [json.loads(line)["index"] for line in lines if line.endswith(b"\n")]
    shards = [job / "shards" / f"{index:06d}.jsonl.gz" for index in indices]
    return {shard: shard.stat().st_mtime_ns for shard in shards}


def echo_length(project: Path, text: str) -> int:
    """Tokens of a text as the backend `echo` counts them: without the frame."""
    from lingolite_cli.tokenization.opening import open_tokenizer

    tokenizer = open_tokenizer(Artifact.open(project / "model"))
    whole, dot = (tokenizer.encode_source(each, ("en", "da"), max_length=48).ids for each in (text, "."))
    return len(whole) - len(dot) + len(tokenizer.encode_target("."))


def figures(manifest: RunManifest) -> list[object]:
    """Everything in a manifest that another run of the same work must repeat."""
    return [(step.id, step.key, step.inputs, step.result) for step in manifest.steps]


def half_written(project: Path) -> list[Path]:
    """What a killed process left behind."""
    return sorted(path for path in project.rglob(".*") if path.suffix in (".partial", ".lease", ".replaced"))


def read_history(project: Path) -> list[RunEntry]:
    """What the project's history keeps."""
    return HistoryStore(project / ".lingolite" / "history.sqlite", warn=_refuse).entries()


def _refuse(warning: str) -> None:
    raise AssertionError(warning)


def hear_interruptions() -> None:
    """As in a shell's foreground: a job in the background ignores Ctrl-C, one under `nohup` the end of its terminal,
    and both hand that down to their children.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
