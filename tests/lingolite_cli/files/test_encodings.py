"""Files that are no UTF-8 text are told by what they are."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
from pathlib import Path

import pytest

from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.encodings import not_utf8_hint

TEXT = "Open the window.\tÅbn vinduet.\n" * 3


def zipped(text: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("text.tsv", text)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (TEXT.encode("utf-16"), "iconv -f utf-16 -t utf-8"),
        (TEXT.encode("utf-16-le"), "iconv -f utf-16le -t utf-8"),
        (TEXT.encode("utf-16-be"), "iconv -f utf-16be -t utf-8"),
        (TEXT.encode("utf-32"), "iconv -f utf-32 -t utf-8"),
        (TEXT.encode("latin1"), "iconv -f latin1 -t utf-8"),
        (lzma.compress(TEXT.encode()), "xz -d"),
        (bz2.compress(TEXT.encode()), "bzip2 -d"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "zstd -d"),
        (zipped(TEXT), "it is an archive"),
        (bytes(range(256)), "it is not text"),
    ],
    ids=["utf-16", "utf-16le", "utf-16be", "utf-32", "latin1", "xz", "bzip2", "zstd", "zip", "binary"],
)
def test_the_hint_names_what_the_file_is(content: bytes, hint: str) -> None:
    assert hint in not_utf8_hint(content)


def test_a_corpus_in_utf16_is_not_called_latin1(tmp_path: Path) -> None:
    (tmp_path / "test.tsv").write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(LingoLiteError, match=r"test.tsv is not UTF-8 text") as caught:
        read_corpus(CorpusSpec(tsv="test.tsv", languages=("en", "da")), name="test", root=tmp_path)
    assert "utf-16" in str(caught.value.hint)
