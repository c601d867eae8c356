"""Finished runs on disk: how they are called, finding and reading them. The runner writes them."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.scorer import Translations
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import read_texts

MANIFEST_NAME = "manifest.json"

_TIME = "%Y%m%d-%H%M%S"
_ID = re.compile(r"^(\d{8}-\d{6})-[0-9a-f]{4,}$")
_FARTHEST = timedelta(days=36_500)
"""A directory that is dated later was named by no clock, and the time after it may be none."""
_TOLERATED = timedelta(minutes=1)
"""A clock that is no further behind is set right now and then, and runs of a moment get ahead of it by themselves."""


class RunName(NamedTuple):
    """How a new run is called. `behind` is the run that the clock says is yet to come, if there is one."""

    id: str
    behind: str | None


def new_run_name(directory: Path, started: datetime) -> RunName:
    """A name that comes after those of all runs in `directory`, whatever the clock says, and is unlike any other.

    Args:
        directory: of a recipe's runs.
        started: when the new one started, UTC.
    """
    dated = ((name, _time_of(name)) for name in _names(directory))
    times = {name: time for name, time in dated if time is not None and time - started < _FARTHEST}
    last = max(times, key=lambda name: times[name], default=None)
    now = started.replace(microsecond=0)
    if last is None or times[last] < now:
        return RunName(_name(now), None)
    return RunName(_name(times[last] + timedelta(seconds=1)), last if times[last] - now > _TOLERATED else None)


def _name(time: datetime) -> str:
    return f"{time:{_TIME}}-{secrets.token_hex(3)}"


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []


def _time_of(name: str) -> datetime | None:
    """The time in the name of a run; None for what is called otherwise."""
    found = _ID.match(name)
    try:
        return datetime.strptime(found[1], _TIME).replace(tzinfo=timezone.utc) if found else None
    except ValueError:
        return None


def last_run(directory: Path) -> Path | None:
    """The last of a recipe's runs, which lie in `directory`, that came to its end: their ids begin with their time.

    Raises:
        LingoLiteError: a manifest that is later cannot be read.
    """
    found = sorted((path.parent for path in directory.glob(f"*/{MANIFEST_NAME}")), reverse=True)
    return next((run for run in found if read_run(run).stop is None), None)


def place_of(directory: Path, *, root: Path) -> str:
    """Where a run is, relative to the project at `root` where it lies inside."""
    absolute = directory.resolve()
    inside = absolute.is_relative_to(root)
    return (absolute.relative_to(root) if inside else absolute).as_posix()


def read_run(directory: Path) -> RunManifest:
    """The manifest of a run.

    Raises:
        LingoLiteError: there is none, or it is of another version.
    """
    path = directory / MANIFEST_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunManifest)
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}", hint="name the directory of a run") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        message = f"{path} is not the manifest of a run: {error}"
        raise LingoLiteError(message, hint="name the directory of a run") from None


def run_translations(directory: Path, manifest: RunManifest) -> dict[str, Translations]:
    """What each `evaluate` step of a run translated, by step.

    Raises:
        LingoLiteError: a file of translations is gone or damaged.
    """
    return {
        step.id: translations_of(directory / step.result.translations)
        for step in manifest.steps
        if isinstance(step.result, EvaluateResult)
    }


def translations_of(path: Path) -> Translations:
    """The translations in a file.

    Raises:
        LingoLiteError: it cannot be read, is empty, or a line is not a translation.
    """
    try:
        texts = read_texts(path)
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}") from None
    if not texts.sources:
        raise LingoLiteError(f"{path} has no translations")
    return texts
