"""Goldens of an artifact, replayed on a platform by the artifact's own script.

Owns what makes an artifact replayable: goldens, a script that needs nothing of LingoLite, and the packages that it
needs.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from lingolite_cli.artifact import Artifact, Manifest
from lingolite_cli.emulation.platforms import Platform, processor, script_command
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import (
    GOLDEN_NAME,
    Golden,
    GoldenDifference,
    compare_goldens,
    read_goldens,
)

SCRIPT_NAME = "run_offline.py"
REQUIREMENTS_NAME = "requirements.txt"

_LISTED = 5
"""Differences that a record keeps."""


class _Replayed(msgspec.Struct, frozen=True):
    """What the script writes."""

    runtime: str
    seconds: float
    sentences: tuple[Golden, ...]


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
        found = msgspec.json.decode(report.read_bytes(), type=_Replayed)
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
