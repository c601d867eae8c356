"""What a run leaves in its directory: manifest, translations, curves of trainings, artifacts and reports.

Owns the names inside `runs/NAME/ID/`. The runner decides when it is written; it appears whole or not at all.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.copying import copy_file
from lingolite_cli.files.digests import canonical_json
from lingolite_cli.runs.finished import MANIFEST_NAME
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import StepResult
from lingolite_cli.runs.translations import TRANSLATIONS_NAME
from lingolite_cli.training.metrics import EVENTS_NAME, METRICS_NAME

Report = Callable[[RunManifest, Path], object]
"""What a reporter does with a run and its directory."""


class StepFiles(Protocol):
    """Where a finished step has its files."""

    @property
    def directory(self) -> Path:
        """Its own."""

    @property
    def artifact_path(self) -> Path | None:
        """The artifact that it made, if it made one."""


def fill(directory: Path, manifest: RunManifest, finished: Mapping[str, StepFiles]) -> None:
    """Put the manifest and what each finished step made into `directory`.

    As copies: a file that two runs shared would change in both when somebody writes to one.
    """
    for step, cached in finished.items():
        if cached.artifact_path is not None:
            _copy_tree(cached.artifact_path, directory / artifact_place(step))
        for name, folder in ((TRANSLATIONS_NAME, "translations"), (METRICS_NAME, "training")):
            if (cached.directory / name).is_file():
                (directory / folder).mkdir(exist_ok=True)
                copy_file(cached.directory / name, directory / _text_place(folder, step))
        if (cached.directory / EVENTS_NAME).is_dir():
            _copy_tree(cached.directory / EVENTS_NAME, directory / "training" / step)
    write_run_manifest(directory, manifest)


def write_run_manifest(directory: Path, manifest: RunManifest) -> None:
    """Write the manifest of a run into `directory`, over one that is there."""
    write_atomic(directory / MANIFEST_NAME, msgspec.json.format(canonical_json(manifest), indent=2) + b"\n")


def add_report(directory: Path, manifest: RunManifest, report: Report) -> list[str]:
    """Let a reporter write; the names of what is new at the top of `directory`."""
    # What is new counts, not what the reporter returns: a plugin may name files that it did not write.
    there = set(directory.iterdir())
    report(manifest, directory)
    return sorted(path.name for path in set(directory.iterdir()) - there)


def with_places(step: str, result: StepResult, artifact_paths: Mapping[str, str]) -> StepResult:
    """The result of a step with the paths that its artifacts and texts have in the run's directory.

    Args:
        step: id of the step.
        result: of the step.
        artifact_paths: by digest.
    """
    plain = _with_paths(msgspec.to_builtins(result), artifact_paths)
    placed: StepResult = msgspec.convert(plain, StepResult)
    return placed.with_texts(lambda folder: _text_place(folder, step))


def artifact_place(step: str) -> str:
    """Where the artifact of a step lies in the run's directory."""
    return f"artifacts/{step}"


def _text_place(folder: str, step: str) -> str:
    return f"{folder}/{step}.jsonl"


def _with_paths(plain: Any, paths: Mapping[str, str]) -> Any:
    if isinstance(plain, list):
        return [_with_paths(item, paths) for item in plain]
    if not isinstance(plain, dict):
        return plain
    placed = {key: _with_paths(value, paths) for key, value in plain.items()}
    if {"path", "digest", "size_bytes"} <= placed.keys():
        placed["path"] = paths.get(placed["digest"], placed["path"])
    return placed


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=lambda old, new: copy_file(Path(old), Path(new)))
