"""`lingolite inspect`: everything that an artifact says of itself, and what the project knows of it.

Owns what is collected. It is read from the manifest, from headers and from the history; no engine is imported.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.tensors import tensor_shapes
from lingolite_cli.artifact import WEIGHTS_NAME, Artifact, Manifest, read_manifest
from lingolite_cli.console import Console
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.project_history import all_runs
from lingolite_cli.weights.header import StoredValues, stored_values

_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_MODEL_CARD = "README.md"
_MOST_ORIGINS = 10


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What something was made from: its use, its digest, and where it lies and what it is, if that is known."""

    use: str
    digest: str
    path: str | None = None
    format: str | None = None
    operation: str | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The last run of the project that measured the artifact."""

    run: str
    recipe: str
    system: str
    verdict: str
    num_budgets: int
    problem: str | None
    scores: dict[str, float]


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact, looked at.

    Attributes:
        files: size in bytes by name.
        num_parameters: of the network, whatever they are stored as.
        weights: how the file of a bundle stores them; none for exported files, whose manifest has it in `arithmetic`.
        arithmetic: what weights and activations are in computing, where the manifest says it.
        tokenizer: its kind, special ids and frame.
        licence: as the manifest has it, or else how the file of the licence begins; None where there is neither.
        made_from: what it was made from, then what that was made from, and so on.
        judgement: None where the project has no run that measured it.
    """

    path: str
    format: str
    digest: str
    size_bytes: int
    files: dict[str, int]
    languages: tuple[str, ...]
    trained_on: str
    model: Architecture
    num_parameters: int
    weights: tuple[StoredValues, ...]
    scheme: str | None
    arithmetic: dict[str, str]
    tokenizer: dict[str, Any]
    decoding: DecodingOptions
    licence: str | None
    operation: str
    tool: str
    options: dict[str, Any]
    made_from: tuple[Origin, ...]
    details: dict[str, Any]
    judgement: Judgement | None


def inspect_artifact(context: JobContext, path: Path, console: Console) -> Inspection:
    """Read what is known of the artifact at `path`; its files are verified first.

    Raises:
        LingoLiteError: there is none, or it is damaged.
    """
    artifact = Artifact.open(path)
    manifest = artifact.manifest
    description = manifest.tokenizer_description
    weights = stored_values(artifact.weights_path) if WEIGHTS_NAME in manifest.files else []
    return Inspection(
        path=str(path),
        format=manifest.format,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        files={name: entry.size_bytes for name, entry in manifest.files.items()},
        languages=manifest.languages,
        trained_on="sentences" if manifest.is_sentence_level else "documents",
        model=manifest.model,
        num_parameters=sum(map(math.prod, tensor_shapes(manifest.model).values())),
        weights=tuple(weights),
        scheme=manifest.quantization.scheme if manifest.quantization is not None else None,
        arithmetic={
            key: value
            for key, value in manifest.details.items()
            if key in ("weights", "activations") and isinstance(value, str)
        },
        tokenizer=msgspec.to_builtins(description),
        decoding=manifest.decoding,
        licence=manifest.licence or _licence_file(path),
        operation=manifest.made_by.operation,
        tool=manifest.made_by.tool,
        options=manifest.made_by.options,
        made_from=tuple(_origins(context, manifest)),
        details=manifest.details,
        judgement=_judgement(context, artifact.digest, console),
    )


def _licence_file(path: Path) -> str | None:
    """How the licence begins: of the directory itself, or of the one above, where that holds its model card."""
    directory = path.resolve()
    card = directory.parent / _MODEL_CARD
    places = [directory]
    if card.is_file() and card.read_bytes()[:200].lower().startswith(b"# model card"):
        places.append(directory.parent)
    for file in (place / name for place in places for name in _LICENCES):
        if file.is_file():
            lines = file.read_bytes()[:2000].decode("utf-8", errors="replace").splitlines()
            return ", ".join([line.strip() for line in lines if line.strip()][:2]) or None
    return None


def _origins(context: JobContext, manifest: Manifest) -> list[Origin]:
    """What an artifact was made from, as far back as its ancestors lie in the project or its cache."""
    found: list[Origin] = []
    waiting = [manifest]
    while waiting and len(found) < _MOST_ORIGINS:
        made_by = waiting.pop().made_by
        for use, digest in made_by.inputs.items():
            place = _place_of(context, digest)
            if place is None:
                found.append(Origin(use=use, digest=digest))
                continue
            known = read_manifest(place)
            found.append(
                Origin(
                    use=use,
                    digest=digest,
                    path=str(place),
                    format=known.format,
                    operation=known.made_by.operation,
                )
            )
            waiting.append(known)
    return found


def _place_of(context: JobContext, digest: str) -> Path | None:
    """Where the artifact of that digest lies: the project's model, or one in the cache."""
    project = context.project
    if project.settings.model is not None:
        model = project.root / project.settings.model
        try:
            if Artifact.open(model, verify=False).digest == digest:
                return model
        except LingoLiteError:  # damaged, or gone: the cache may have it still
            pass
    return context.cache.find_artifact(digest)


def _judgement(context: JobContext, digest: str, console: Console) -> Judgement | None:
    for entry in reversed(all_runs(context, console)):
        for system in entry.systems:
            if system.digest == digest:
                return Judgement(
                    run=entry.id,
                    recipe=entry.recipe,
                    system=system.name,
                    verdict=entry.verdict,
                    num_budgets=entry.num_budgets,
                    problem=entry.problem,
                    scores={score.metric: score.value for score in system.scores},
                )
    return None
