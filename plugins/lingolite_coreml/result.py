"""What a Mac's owner is given to run a program, and the file that comes back. Cheap to import."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.benchmark.figures import RoundClock
from lingolite_cli.errors import LingoLiteError

SCRIPT_NAME, SENTENCES_NAME = "run_on_mac.py", "sentences.json"


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Rules(_Struct, frozen=True, kw_only=True):
    """How sentences are translated: greedily.

    Attributes:
        start: the first token that the decoder reads.
        prefix: tokens that it reads after it.
        end: ends a translation.
        never_generated: tokens that no translation may have.
        max_length: most target tokens.
        min_length: target tokens before which the end token is not allowed.
        max_length_factor: most target tokens for each source token; None for no such limit.
    """

    start: int
    prefix: tuple[int, ...]
    end: int
    never_generated: tuple[int, ...]
    max_length: int
    min_length: int
    max_length_factor: float | None


class Sentences(_Struct, frozen=True, kw_only=True):
    """The content of `sentences.json`.

    Attributes:
        artifact: digest of the artifact that the packages are from.
        files: SHA-256 of the files of the packages.
        rules: how they are translated.
        sentences: ids of framed sources.
    """

    schema: Literal[1] = 1
    artifact: str
    files: dict[str, str]
    rules: Rules
    sentences: tuple[tuple[int, ...], ...]


class Machine(_Struct, frozen=True, kw_only=True):
    """What a program was run on."""

    model: str
    processor: str
    system: str


class RecordedTranslation(_Struct, frozen=True, kw_only=True):
    """A source, and what became of it. `log_probability` is that of all tokens, in nats."""

    ids: tuple[int, ...]
    tokens: tuple[int, ...]
    log_probability: float
    is_finished: bool


class Result(_Struct, frozen=True, kw_only=True):
    """The file that the script writes.

    Attributes:
        artifact: digest of the artifact that was run.
        files: SHA-256 of the files of its packages, as they were on the Mac.
        machine: the Mac.
        coremltools: version of the package that asked Core ML.
        compute_units: processors that Core ML might use.
        rules: how the sentences were translated.
        translations: of every sentence.
        num_timed: sentences of a round.
        rounds: what the clock said, each in a fresh process.
    """

    schema: Literal[1]
    artifact: str
    files: dict[str, str]
    machine: Machine
    coremltools: str
    compute_units: Literal["ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE"]
    rules: Rules
    translations: tuple[RecordedTranslation, ...]
    num_timed: int
    rounds: tuple[RoundClock, ...]


def read_result(path: Path, artifact: Artifact) -> Result:
    """The result of running an artifact.

    Raises:
        LingoLiteError: it cannot be read, or is of another artifact, or the packages were others on the Mac.
    """
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        raise LingoLiteError(
            f"{path} is not a result of {SCRIPT_NAME}: {str(error)[:300]}", hint="run the script again"
        ) from None
    if result.artifact != artifact.digest or result.files != package_digests(artifact):
        raise LingoLiteError(
            f"{path} is the result of another artifact, {result.artifact[:12]}; this one is {artifact.digest[:12]}",
            hint="export with `--format coreml-on-mac` from this artifact, and run that on the Mac",
        )
    if not result.translations or any(not one.tokens for one in result.translations):
        raise LingoLiteError(f"{path} lacks translations", hint="run the script again")
    return result


def package_digests(artifact: Artifact) -> dict[str, str]:
    """SHA-256 of the files of an artifact's packages."""
    return {name: entry.sha256 for name, entry in artifact.manifest.files.items() if ".mlpackage/" in name}
