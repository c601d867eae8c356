"""The size of a download is that of a zip archive's members."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import pytest

from lingolite_cli.artifact import MANIFEST_NAME, Artifact
from lingolite_cli.files.download import download_bytes, measure_downloads


def test_download_is_what_a_zip_archive_holds(tiny: Artifact, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "app.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in tiny.path.iterdir():
            if file.name != MANIFEST_NAME:
                archive.write(file, file.name)
    members = zipfile.ZipFile(tmp_path / "app.zip").infolist()
    assert len(members) == 2
    assert download_bytes(tiny) == sum(member.compress_size for member in members)
    assert 0 < download_bytes(tiny) < tiny.size_bytes


def test_what_does_not_compress_is_sent_as_it_is(tiny: Artifact, tmp_path: Path) -> None:
    from lingolite_cli.artifact import write_manifest

    (tmp_path / "noise").write_bytes(bytes((value * value * 2654435761 >> 7) & 255 for value in range(300)))
    manifest = write_manifest(tmp_path, tiny.manifest)
    assert download_bytes(Artifact(tmp_path, manifest)) == 300


def test_downloads_are_measured_beside_other_work_and_errors_reach_who_asks(tiny: Artifact, tmp_path: Path) -> None:
    assert measure_downloads([tiny, tiny]).result() == [download_bytes(tiny)] * 2
    with pytest.raises(FileNotFoundError):
        measure_downloads([tiny, Artifact(tmp_path, tiny.manifest)]).result()


def test_a_file_is_compressed_once_until_it_changes(
    tiny: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in tiny.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copy = Artifact(tmp_path, tiny.manifest)
    started = []

    def compressor(*, level, wbits):
        started.append(level)
        return compressobj(level=level, wbits=wbits)

    compressobj = zlib.compressobj
    monkeypatch.setattr(zlib, "compressobj", compressor)
    assert download_bytes(copy) == download_bytes(copy)
    assert started == [9, 9]
    name = next(iter(tiny.manifest.files))
    before = download_bytes(copy)
    (tmp_path / name).write_bytes(b"")
    assert download_bytes(copy) < before
    assert started == [9, 9, 9]
