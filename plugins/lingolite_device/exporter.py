"""The exporter `device`: the files of an exported artifact, and what an app needs besides, in one directory or zip.

Owns which files these are. What `device.json` says is `lingolite_device.description`'s, and the guide `guide`'s.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
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
from lingolite_device.guide import GUIDE_NAME, guide
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
        engine.graphs(source)  # what an app cannot run is refused before goldens are computed
        goldens = self._goldens(source)
        _copy(source, directory)
        for name, content in described_files(source, source, goldens).items():
            (directory / name).write_bytes(content)
        if engine.python:
            (directory / REQUIREMENTS_NAME).write_text(engine.requirements(), encoding="utf-8")
        write_goldens(goldens, directory / GOLDEN_NAME)
        written = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()]
        sums = {name: sha256_file(directory / name) for name in written}
        sums |= {name: source.manifest.files[name].sha256 for name in source.tokenizer_names}
        (directory / SUMS_NAME).write_bytes(sums_file(sums))
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


def described_files(carried: Artifact, bundle: Artifact, goldens: Goldens) -> dict[str, bytes]:
    """Contents of what lies beside the model files, by name: what an app or its developer reads.

    Args:
        carried: the artifact whose files an app runs.
        bundle: it, or what it was exported from: whose tokenizer and licence are described.
        goldens: of it.
    """
    engine = ENGINES[carried.manifest.format]
    described = DeviceDescription(
        engine=carried.manifest.format,
        settings=engine.settings(carried),
        tokenizer=ported_tokenizer(bundle, translated_pairs(bundle)),
        decoding=goldens.decoding,
        graphs=engine.graphs(carried),
    )
    loops = (*_LOOPS, *(_REPLAY if engine.python else ()))
    return {
        **{name: files("lingolite_device").joinpath("app", name).read_bytes() for name in loops},
        DESCRIPTION_NAME: msgspec.json.format(msgspec.json.encode(described), indent=1) + b"\n",
        CARRIED_NAME: msgspec.json.format(canonical_json(carried.manifest), indent=1) + b"\n",
        LICENCE_NAME: _licence(bundle).encode(),
        GUIDE_NAME: guide(carried, engine, goldens).encode(),
    }


def sums_file(digests: Mapping[str, str]) -> bytes:
    """SHA-256 by name of every file that an app may read, in the format of `sha256sum`."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _copy(source: Artifact, directory: Path) -> None:
    """The model files; tokenizer and manifest are the host's to write."""
    for name in source.manifest.files:
        if name not in source.tokenizer_names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.file(name), directory / name)


def _licence(source: Artifact) -> str:
    stated = source.manifest.licence
    if isinstance(stated, msgspec.UnsetType):
        return "The model does not state the licence of its weights: ask who made it before you ship them.\n"
    return f"Licence of the weights, as the model states it: {stated}\n"


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
