"""`lingolite corpus`: what its commands do with text in files and with corpora."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.artifact import Provenance, check_target
from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import CorpusManifest
from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.corpora.pairs import BadRows, place_of
from lingolite_cli.corpora.reading import TextFiles, read_text
from lingolite_cli.corpora.writing import CorpusLayout, CorpusWriter
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.files.text import text_digest


class CorpusImport(msgspec.Struct, frozen=True, kw_only=True):
    """What is imported, and where to.

    Attributes:
        files: text.
        layout: of the corpus.
        provenance: of lines that state none.
        licence: of lines that state none.
        is_skipping: whether rows that cannot be read are counted and left out; otherwise the first is an error.
        overwrite: replace a corpus at `out`.
    """

    files: TextFiles
    out: Path
    layout: CorpusLayout
    provenance: str | None = None
    licence: str | None = None
    is_skipping: bool = False
    overwrite: bool = False


def import_corpus(request: CorpusImport, console: Console) -> CorpusManifest:
    """Make a corpus of files.

    Raises:
        LingoLiteError: `out` exists, which is refused before any work; or as of
            `lingolite_cli.corpora.reading.read_text`, and then nothing is at `out`.
    """
    files = request.files
    check_target(request.out, overwrite=request.overwrite, inputs=files.paths)
    bad = BadRows(
        str(files.paths[0]),
        is_refused=not request.is_skipping,
        hint="mend the line, or count and leave out such: --skip-bad",
    )
    inputs = {path.name: text_digest(path) for path in files.paths}
    with atomic_directory(request.out, overwrite=request.overwrite) as directory:
        writer = CorpusWriter(directory, request.layout)
        with console.progress("import", total=None) as progress:
            for line in progress.track(read_text(files, bad)):
                writer.add(_stated(line, request))
        if not writer.num_lines:
            raise LingoLiteError(f"{files.paths[0]} has no lines", hint="a corpus needs at least one")
        manifest = writer.finish(Provenance(operation="import", inputs=inputs), removed=bad.counts)
    for kind, count in bad.counts.items():
        console.warn(f"{count:,} rows left out: {kind}, first at {place_of(files.paths[0], bad.first[kind])}")
    return manifest


def _stated(line: CorpusLine, request: CorpusImport) -> CorpusLine:
    """The line with what the user says of all lines that say nothing themselves."""
    if line.provenance is None or line.licence is None:
        return msgspec.structs.replace(
            line, provenance=line.provenance or request.provenance, licence=line.licence or request.licence
        )
    return line
