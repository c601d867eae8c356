"""`lingolite import`: a bundle from a foreign model, by the importer that reads it.

Owns the choice of the importer and the order of the checks: nothing is read before it is sure that the bundle may be
written. What a model may be is the importer's business, and what must hold of all of them
`lingolite_cli.importing.writing`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.artifact import Artifact, Provenance, check_target
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.sample_translations import SampleTranslation, doubts_of, translate_samples
from lingolite_cli.plugins.registry import Loaded, PluginEntry, Registry
from lingolite_cli.plugins.specs import ImporterSpec

if TYPE_CHECKING:
    from lingolite_cli.importing.imported import Imported

_KIND = "importer"


class ImportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is imported.

    Attributes:
        path: the foreign model, a file or a directory.
        out: the bundle's directory.
        importer: the name of the importer; None looks for one.
        options: the importer's.
        overwrite: replace an artifact at `out`.
    """

    path: Path
    out: Path
    importer: str
    options: Mapping[str, Any] = {}
    overwrite: bool = False


class ImportedBundle(msgspec.Struct, frozen=True):
    """The bundle, what it makes of a few sentences, and why these are implausible, if they are."""

    artifact: Artifact
    samples: tuple[SampleTranslation, ...] = ()
    doubts: tuple[str, ...] = ()


def find_importer(registry: Registry, path: Path, *, hinted: frozenset[str]) -> str:
    """The name of the importer that reads `path`.

    Args:
        registry: the plugins.
        path: the foreign model.
        hinted: options that the user gave; where no importer recognizes the path, those that only one importer has tell
            which one is meant, so that it can say what is wrong with the path.

    Raises:
        LingoLiteError: none recognizes it, or several do.
    """
    entries = [entry for entry in registry.of_kind(_KIND) if entry.spec is not None]
    found = [entry for entry in entries if _recognizes(entry, path)] or [
        entry for entry in entries if hinted and hinted <= set(_options(entry))
    ]
    if len(found) == 1:
        return found[0].name
    if found:
        names = " and ".join(sorted(entry.name for entry in found))
        raise LingoLiteError(f"{path} is read by the importers {names}", hint="name one: `--from NAME`")
    if not path.exists():
        raise LingoLiteError(f"no such file or directory: {path}")
    specs = [entry.spec for entry in entries if isinstance(entry.spec, ImporterSpec)]
    known = "; ".join(f"`{spec.name}`: {spec.reads}" for spec in specs)
    raise LingoLiteError(f"no importer recognizes {path}", hint=f"importers read these: {known}")


def import_and_sample(context: JobContext, request: ImportRequest) -> ImportedBundle:
    """Make the bundle, and translate a few sentences with it where its format does not say all of a model.

    Raises:
        LingoLiteError: the importer refuses the model, its parts do not fit, or `out` exists.
    """
    loaded = context.registry.resolve(_KIND, request.importer)
    given = msgspec.structs.asdict(loaded.options(request.options)).values()
    # Options that name files or directories: those that are there must not be written over.
    named = [Path(value) for value in given if isinstance(value, str) and os.path.exists(value)]
    check_target(request.out, overwrite=request.overwrite, inputs=[request.path, *named])
    importer = loaded.create(options=request.options)
    imported: Imported = importer.read(request.path)
    artifact = _write(imported, request, loaded)
    if "samples" not in loaded.spec.capabilities:
        return ImportedBundle(artifact)
    samples = translate_samples(context, artifact)
    return ImportedBundle(artifact, samples, tuple(doubts_of(context, artifact, samples)))


def _write(imported: Imported, request: ImportRequest, loaded: Loaded) -> Artifact:
    from lingolite_cli.importing.writing import write_imported

    made_by = Provenance(
        operation="import",
        options=dict(imported.options),
        inputs={name: sha256_file(file) for name, file in imported.inputs.items()},
    )
    return write_imported(imported, request.out, where=request.path, made_by=made_by, overwrite=request.overwrite)


def _recognizes(entry: PluginEntry, path: Path) -> bool:
    return Loaded(_KIND, entry.spec, entry.origin).recognizes(path)


def _options(entry: PluginEntry) -> list[str]:
    assert entry.spec is not None
    return [field.encode_name for field in msgspec.structs.fields(entry.spec.options)]
