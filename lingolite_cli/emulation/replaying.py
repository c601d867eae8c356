"""Goldens of an artifact, replayed on a platform by the artifact's own script, or by a backend that runs its own code.

Owns what makes an artifact replayable: goldens, and a script that needs nothing of LingoLite with the packages that it
needs, or a backend with the capability `replay`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from lingolite_cli.artifact import Artifact, Manifest
from lingolite_cli.emulation.platforms import NATIVE, PLATFORMS, Platform, processor, script_command
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import (
    GOLDEN_NAME,
    Golden,
    GoldenDifference,
    Replayed,
    compare_goldens,
    read_goldens,
)
from lingolite_cli.plugins.registry import Health, Loaded, PluginEntry, Registry
from lingolite_cli.plugins.specs import BackendSpec

SCRIPT_NAME = "run_offline.py"
REQUIREMENTS_NAME = "requirements.txt"

_LISTED = 5
"""Differences that a record keeps."""


class PlatformReplay(msgspec.Struct, frozen=True, kw_only=True):
    """The goldens of an artifact on one platform.

    Attributes:
        platform: its name.
        processor: what it is.
        runtime: the engine and its version; empty where it was not run.
        num_goldens: sentences.
        num_equal: those whose ids, tokens and text are the same.
        seconds: CPU time of the replay, under emulation that of the emulator.
        differences: of the first sentences that differ.
        why_not: why it was not run; None where it was.
    """

    platform: str
    processor: str
    runtime: str = ""
    num_goldens: int = 0
    num_equal: int = 0
    seconds: float = 0.0
    differences: list[GoldenDifference] = []
    why_not: str | None = None


def is_replayable(manifest: Manifest) -> bool:
    """Whether an artifact has goldens, and a script that replays them."""
    return {GOLDEN_NAME, SCRIPT_NAME, REQUIREMENTS_NAME} <= set(manifest.files)


def replaying_backend(registry: Registry, format: str) -> PluginEntry | None:
    """The backend that replays goldens of artifacts of `format` by their own code, installed or not; None for none."""
    for entry in registry.of_kind("backend"):
        spec = entry.spec
        if isinstance(spec, BackendSpec) and format in spec.accepts and "replay" in spec.capabilities:
            return entry
    return None


def what_it_lacks(entry: PluginEntry) -> str | None:
    """Why a backend cannot replay on this machine; None where it can."""
    if entry.health is not Health.OK:
        return f"backend `{entry.name}` {entry.reason}"
    assert isinstance(entry.spec, BackendSpec)
    if not entry.spec.lacks:
        return None
    module, _, name = entry.spec.lacks.partition(":")
    lacks: str | None = getattr(import_module(module), name)()
    return None if lacks is None else f"backend `{entry.name}`: {lacks}"


def requirements_of(artifact: Artifact) -> str:
    """The packages that its script needs."""
    return artifact.read_bytes(REQUIREMENTS_NAME).decode()


def replay_goldens(artifact: Artifact, platform: Platform) -> PlatformReplay:
    """Run an artifact's script on a platform that is ready, and compare what it gives with the goldens.

    Raises:
        LingoLiteError: the script did not come to its end.
    """
    goldens = read_goldens(artifact.file(GOLDEN_NAME)).sentences
    command, environment = script_command(platform, artifact.file(SCRIPT_NAME), requirements_of(artifact))
    with TemporaryDirectory() as scratch:
        report = Path(scratch) / "replay.json"
        done = subprocess.run(
            [*command, str(artifact.path), "--json", str(report)],
            env=environment,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if not report.is_file():
            said = " ".join(done.stderr.strip().splitlines()[-3:])
            raise LingoLiteError(
                f"{SCRIPT_NAME} ended on platform `{platform.name}` with exit code {done.returncode}: {said[:500]}"
            )
        found = msgspec.json.decode(report.read_bytes(), type=Replayed)
    return _compared(goldens, found, platform)


def replay_goldens_by(backend: Loaded, artifact: Artifact) -> PlatformReplay:
    """Have a backend replay the goldens on this machine, and compare what it gives with them.

    Raises:
        LingoLiteError: the backend cannot open or run the artifact.
    """
    goldens = read_goldens(artifact.file(GOLDEN_NAME)).sentences
    opened = backend.open(artifact, threads=1)
    try:
        found = opened.replay([golden.source for golden in goldens])
    finally:
        opened.close()
    return _compared(goldens, found, PLATFORMS[NATIVE])


def _compared(goldens: Sequence[Golden], found: Replayed, platform: Platform) -> PlatformReplay:
    differences = compare_goldens(goldens, found.sentences)
    return PlatformReplay(
        platform=platform.name,
        processor=processor(platform),
        runtime=found.runtime,
        num_goldens=len(goldens),
        num_equal=len(goldens) - len(differences),
        seconds=found.seconds,
        differences=differences[:_LISTED],
    )
