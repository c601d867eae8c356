"""The contract of importers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lingolite_cli.artifact import Artifact, Provenance
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.imported import Imported
from lingolite_cli.importing.writing import write_imported
from lingolite_cli.testing.contract import Contract
from lingolite_cli.tokenization.opening import open_tokenizer


class ImporterContract(Contract):
    """Everything that the host relies on in an importer.

    Its author brings a model to read: the fixture `model` writes one into a directory of its own.
    """

    kind = "importer"

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        """A small model in the foreign format: a file, or a directory."""
        raise NotImplementedError("override the fixture `model`: it writes a small model and returns its path")

    def read(self, path: Path) -> Imported:
        """What the importer reads, with the options of this contract."""
        imported: Imported = self.loaded().create(options=dict(self.options)).read(path)
        return imported

    def write(self, path: Path, out: Path) -> Artifact:
        """The bundle of it."""
        made_by = Provenance(operation="import")
        return write_imported(self.read(path), out, where=path, made_by=made_by, overwrite=False)

    def test_the_model_is_recognized(self, model: Path) -> None:
        assert self.loaded().recognizes(model)

    def test_other_paths_are_not_recognized(self, tmp_path: Path) -> None:
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "notes.txt").write_text("no model\n")
        for path in (tmp_path / "nothing", tmp_path / "notes", tmp_path / "notes" / "notes.txt"):
            assert not self.loaded().recognizes(path), path

    def test_the_bundle_is_whole(self, model: Path, tmp_path: Path) -> None:
        artifact = self.write(model, tmp_path / "bundle")
        reopened = Artifact.open(artifact.path)
        assert reopened.digest == artifact.digest
        tokenizer = open_tokenizer(reopened)
        languages = tokenizer.languages[0], tokenizer.languages[-1]
        framed = tokenizer.encode_source("a b", languages, max_length=reopened.manifest.model.max_seq_len)
        assert max(framed.ids) < len(tokenizer.source_pieces)

    def test_the_same_model_gives_the_same_bytes(self, model: Path, tmp_path: Path) -> None:
        first, second = (self.write(model, tmp_path / name) for name in ("first", "second"))
        assert first.digest == second.digest

    def test_the_model_is_only_read(self, model: Path) -> None:
        before = _contents(model)
        self.read(model)
        assert _contents(model) == before

    def test_a_file_that_is_cut_short_is_refused(self, model: Path, tmp_path: Path) -> None:
        """Whichever file it is: an error in words, and nothing else."""
        files = sorted(file for file in model.rglob("*") if file.is_file()) if model.is_dir() else [model]
        largest = max(files, key=lambda file: file.stat().st_size)
        copied = tmp_path / "cut"
        shutil.copytree(model if model.is_dir() else model.parent, copied)
        cut = copied / largest.relative_to(model if model.is_dir() else model.parent)
        cut.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
        with pytest.raises(LingoLiteError):
            self.write(copied if model.is_dir() else cut, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_missing_path_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(LingoLiteError):
            self.read(tmp_path / "nothing")


def _contents(path: Path) -> dict[str, bytes]:
    files = path.rglob("*") if path.is_dir() else [path]
    return {str(file): file.read_bytes() for file in files if file.is_file()}
