"""Text that comes through a pipe becomes the corpus that a file of it becomes, and a pipe without an end is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.reading import TextForm, recognized
from lingolite_cli.corpora.writing import CorpusLayout
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files import text
from lingolite_cli.jobs.corpus import CorpusImport, import_corpus

TSV = b"The boat.\tB\xc3\xa5den.\nThe ship.\tSkibet.\n"
TMX = (
    b'<tmx version="1.4"><header/><body><tu><tuv xml:lang="en"><seg>The boat.</seg></tuv>'
    b'<tuv xml:lang="da"><seg>Skibet.</seg></tuv></tu></body></tmx>'
)


def imported(path: Path, out: Path, form: TextForm) -> list[str]:
    """The sources of the corpus that is made of a file."""
    files = recognized([path], form=form, languages=("en", "da"))
    layout = CorpusLayout(languages=("en", "da"))
    import_corpus(CorpusImport(files=files, out=out, layout=layout), Console(quiet=True))
    return [line.source for line in CorpusArtifact.open(out).lines()]


@pytest.mark.parametrize(("form", "data", "num_lines"), [("tsv", TSV, 2), ("tmx", TMX, 1)])
def test_a_pipe_becomes_the_corpus_that_a_file_becomes(
    form: TextForm, data: bytes, num_lines: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(data)
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        piped = imported(Path(f"/dev/fd/{reading}"), tmp_path / "piped", form)
    finally:
        os.close(reading)
        text._STREAMS.clear()
    assert len(piped) == num_lines
    assert piped == imported(tmp_path / "file", tmp_path / "filed", form)


def test_a_device_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST_REMEMBERED_BYTES", 1 << 16)
    with pytest.raises(LingoLiteError, match="/dev/zero is a pipe or a device, and holds more than"):
        imported(Path("/dev/zero"), tmp_path / "out", "tsv")
    assert list(tmp_path.iterdir()) == []
