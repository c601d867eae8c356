"""The exporter `device`: the files of an exported artifact, and what an app needs besides, in one directory or zip.

Owns which files these are. What `device.json` says is `lingolite_device.description`'s, and the guide `guide`'s.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from lingolite_cli.artifact import Artifact, Product
from lingolite_cli.emulation.replaying import REQUIREMENTS_NAME, SCRIPT_NAME
from lingolite_cli.evaluation.goldens import (
    GOLDEN_NAME,
    Goldens,
    default_languages,
    default_sources,
    make_goldens,
    read_sources,
    translated_pairs,
    write_goldens,
)
from lingolite_cli.files.digests import canonical_json, sha256_file
from lingolite_cli.tokenization.ported import ported_tokenizer
from lingolite_device.description import DESCRIPTION_NAME, DeviceDescription
from lingolite_device.details import CARRIED_NAME, DeviceDetails
from lingolite_device.engines import ENGINES
from lingolite_device.guide import write_guide
from lingolite_device.options import FORMAT, DeviceExportOptions

ZIP_NAME = "app.zip"
SUMS_NAME = "SHA256SUMS"
LICENCE_NAME = "WEIGHTS-LICENCE.txt"

_LOOPS = ("LingoLite.kt", "LingoLite.swift")
_REPLAY = (SCRIPT_NAME, "pieces.py")
_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The time of every member of a zip, so that equal exports give equal bytes."""


class DeviceExporter:
    """Writes a device bundle from an artifact of another format.

    Args:
        options: see `DeviceExportOptions`.
    """

    def __init__(self, *, options: DeviceExportOptions) -> None:
        self._options = options

    def export(self, source: Artifact, directory: Path) -> Product:
        """Write the model files, the loops, goldens and the guide into `directory`.

        Raises:
            LingoLiteError: an app cannot run these files, or the goldens cannot be computed.
        """
        engine = ENGINES[source.manifest.format]
        graphs, settings = engine.graphs(source), engine.settings(source)
        goldens = self._goldens(source)
        described = DeviceDescription(
            engine=source.manifest.format,
            settings=settings,
            tokenizer=ported_tokenizer(source, translated_pairs(source)),
            decoding=goldens.decoding,
            graphs=graphs,
        )
        _copy(source, directory, loops=(*_LOOPS, *(_REPLAY if engine.python else ())))
        (directory / DESCRIPTION_NAME).write_bytes(
            msgspec.json.format(msgspec.json.encode(described), indent=1) + b"\n"
        )
        carried = msgspec.json.format(canonical_json(source.manifest), indent=1)
        (directory / CARRIED_NAME).write_bytes(carried + b"\n")
        if engine.python:
            (directory / REQUIREMENTS_NAME).write_text(engine.requirements(), encoding="utf-8")
        write_goldens(goldens, directory / GOLDEN_NAME)
        (directory / LICENCE_NAME).write_text(_licence(source), encoding="utf-8")
        write_guide(source, engine, goldens, directory)
        _write_sums(source, directory)
        if self._options.zip:
            _pack(source, directory)
        details = DeviceDetails(
            carried=source.manifest.format,
            carried_digest=source.digest,
            num_goldens=len(goldens.sentences),
            is_zip=self._options.zip,
        )
        return Product(format=FORMAT, details=details.to_dict())

    def _goldens(self, source: Artifact) -> Goldens:
        options = self._options
        languages = default_languages(source)
        if options.source_language is not None and options.target_language is not None:
            languages = options.source_language, options.target_language
        sources = default_sources(languages[0]) if options.sentences is None else read_sources(Path(options.sentences))
        return make_goldens(source, sources=sources, languages=languages, backend=options.backend)


def _copy(source: Artifact, directory: Path, *, loops: Sequence[str]) -> None:
    """The model files and the loops; tokenizer and manifest are the host's to write."""
    for name in source.manifest.files:
        if name not in source.tokenizer_names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.file(name), directory / name)
    for name in loops:
        (directory / name).write_bytes(files("lingolite_device").joinpath("app", name).read_bytes())


def _licence(source: Artifact) -> str:
    stated = source.manifest.licence
    if isinstance(stated, msgspec.UnsetType):
        return "The model does not state the licence of its weights: ask who made it before you ship them.\n"
    return f"Licence of the weights, as the model states it: {stated}\n"


def _write_sums(source: Artifact, directory: Path) -> None:
    """SHA-256 of every file that an app may read, in the format of `sha256sum`."""
    written = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
    sums = {name: sha256_file(directory / name) for name in written}
    sums |= {name: source.manifest.files[name].sha256 for name in source.tokenizer_names}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    (directory / SUMS_NAME).write_text("".join(lines), encoding="utf-8")


def _pack(source: Artifact, directory: Path) -> None:
    """Put everything and the tokenizer into one file, whose bytes depend on nothing else."""
    paths = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    members = {**paths, **{name: source.file(name) for name in source.tokenizer_names}}
    with zipfile.ZipFile(directory / ZIP_NAME, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in sorted(members.items()):
            member = zipfile.ZipInfo(name, _OLDEST)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(member, path.read_bytes())
    for path in paths.values():
        path.unlink()
    for path in sorted(directory.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
