"""`lingolite corpus`: what its commands do with text in files and with corpora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import Provenance, check_target, is_corpus
from lingolite_cli.bulk.filtering import Filtered, FilterRequest, filter_corpus
from lingolite_cli.bulk.filters import FilterOptions, chosen_filters
from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import CorpusArtifact, CorpusManifest
from lingolite_cli.corpora.export import PACKINGS, exported
from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.corpora.pairs import BadRows, place_of
from lingolite_cli.corpora.reading import TextFiles, TextForm, form_by_name, read_text
from lingolite_cli.corpora.selection import REST, sampled, split_parts
from lingolite_cli.corpora.writing import CorpusLayout, CorpusWriter
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory, resolve_output, write_blocks
from lingolite_cli.files.disk import check_writable
from lingolite_cli.files.output import check_output, refuse_inputs
from lingolite_cli.files.special import is_special
from lingolite_cli.files.text import text_digest
from lingolite_cli.plugins.extras import CORPORA, require
from lingolite_cli.schema import convert


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
            counts = ", ".join(f"{kind} {count:,}" for kind, count in bad.counts.items())
            why = f"can be read of {files.paths[0]}: {counts}" if counts else f"is in {files.paths[0]}"
            raise LingoLiteError(f"no line {why}", hint="a corpus needs at least one")
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


class CorpusFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is filtered, and where to.

    Attributes:
        corpus: the directory of a corpus.
        out: where lines go that stay.
        rejected: where the others go; None keeps them nowhere.
        request: the filters.
        overwrite: replace corpora that are there.
    """

    corpus: Path
    out: Path
    rejected: Path | None = None
    filters: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    overwrite: bool = False


def filter_to(request: CorpusFilter, console: Console) -> Filtered:
    """Filter a corpus into another.

    Raises:
        LingoLiteError: a filter is unknown or cannot be used, or nothing would be left; then nothing is written.
    """
    source = CorpusArtifact.open(request.corpus)
    wanted = FilterRequest(
        names=chosen_filters(request.filters, source.manifest.languages),
        options=convert(request.options, FilterOptions, where="--option"),
    )
    targets = [request.out, *([request.rejected] if request.rejected else [])]
    _check_targets(targets, request.corpus, overwrite=request.overwrite)
    with ExitStack() as stack:
        directories = [stack.enter_context(atomic_directory(target, overwrite=request.overwrite)) for target in targets]
        rejected = directories[1] if request.rejected else None
        return filter_corpus(source, directories[0], wanted, console=console, rejected=rejected)


def _check_targets(targets: Sequence[Path], source: Path, *, overwrite: bool) -> None:
    for number, target in enumerate(targets):
        check_target(target, overwrite=overwrite, inputs=[source])
        refuse_inputs(target, flag="a part", inputs=targets[:number])


def sample_corpus(
    corpus: Path, out: Path, *, num_lines: int, seed: int, overwrite: bool, console: Console
) -> CorpusManifest:
    """Write a random sample of a corpus into another, in its order.

    Raises:
        LingoLiteError: the corpus has fewer lines, or `out` exists.
    """
    source = CorpusArtifact.open(corpus)
    if num_lines > source.manifest.num_lines:
        raise LingoLiteError(
            f"{corpus} has {source.manifest.num_lines:,} lines, fewer than {num_lines:,}", hint="pass fewer --lines"
        )
    check_target(out, overwrite=overwrite, inputs=[corpus])
    with (
        atomic_directory(out, overwrite=overwrite) as directory,
        console.progress("sample", total=num_lines) as progress,
    ):
        writer = CorpusWriter(directory, _layout(source.manifest))
        writer.add_all(progress.track(sampled(source.lines, num_lines, seed=seed)))
        return writer.finish(_provenance("sample", source, num_lines=num_lines, seed=seed))


def split_corpus(
    corpus: Path, out: Path, *, sizes: Mapping[str, int], seed: int, overwrite: bool, console: Console
) -> dict[str, CorpusManifest]:
    """Split a corpus into parts, each a corpus in `out`; no source is in two of them.

    Args:
        corpus: the directory.
        out: the directory of the parts.
        sizes: different sources of each part but the rest, by name.
        seed: of the choice.
        overwrite: replace what is at `out`, if it is a split.
        console: shows how far it is.

    Raises:
        LingoLiteError: nothing would be left for training, or `out` exists.
    """
    source = CorpusArtifact.open(corpus)
    refuse_inputs(out, flag="--out", inputs=[corpus])
    check_writable(resolve_output(out).parent)
    if out.exists() and (not overwrite or not _is_split(out)):
        hint = "choose another place, or pass --overwrite" if _is_split(out) else "choose another place"
        raise LingoLiteError(f"{out} exists", hint=hint)
    part_of = split_parts(source.lines, sizes, seed=seed)
    names = [*sizes, REST]
    with (
        atomic_directory(out, overwrite=overwrite) as directory,
        console.progress("split", total=source.manifest.num_lines) as progress,
    ):
        for name in names:
            (directory / name).mkdir()
        writers = {name: CorpusWriter(directory / name, _layout(source.manifest)) for name in names}
        for line in progress.track(source.lines()):
            writers[part_of(line)].add(line)
        for name, writer in writers.items():
            if not writer.num_lines:
                raise LingoLiteError(
                    f"the part `{name}` would have no line: {corpus} has too few different sources",
                    hint="ask for smaller parts",
                )
        made_by = {name: _provenance("split", source, part=name, sizes=dict(sizes), seed=seed) for name in names}
        return {name: writer.finish(made_by[name]) for name, writer in writers.items()}


def _is_split(directory: Path) -> bool:
    """Whether all that is in a directory are corpora."""
    return directory.is_dir() and all(is_corpus(path) for path in directory.iterdir())


def _layout(manifest: CorpusManifest) -> CorpusLayout:
    return CorpusLayout(
        languages=manifest.languages, shard_lines=manifest.shard_lines, compression=manifest.compression
    )


def _provenance(operation: str, source: CorpusArtifact, **options: Any) -> Provenance:
    return Provenance(operation=operation, options=options, inputs={"source": source.digest})


def export_files(corpus: Path, paths: Sequence[Path], *, form: TextForm | None, overwrite: bool) -> None:
    """Write a corpus as files, each whole or not at all.

    Args:
        corpus: the directory.
        paths: one; for lines of parallel text two.
        form: of the files; None leaves it to their names.
        overwrite: replace files that are there.

    Raises:
        LingoLiteError: the number of files does not fit, or one exists or cannot be written.
    """
    for number, path in enumerate(paths):
        check_output(path, flag="FILE", inputs=[corpus, *paths[:number]], packings=PACKINGS)
        if path.suffix == ".zst":
            require(CORPORA, what=f"{path}, compressed with zstd,")
    source = CorpusArtifact.open(corpus)
    chosen = form or ("text" if len(paths) == 2 else form_by_name(paths[0]))
    needed = len(source.manifest.languages) if chosen == "text" else 1
    if len(paths) != needed:
        raise LingoLiteError(
            f"{chosen} needs {needed} file{'s' * (needed > 1)}, not {len(paths)}",
            hint="name a file for the sources and one for the targets" if needed == 2 else "name one file",
        )
    for path in paths:
        if path.exists() and not overwrite and not is_special(path):
            raise LingoLiteError(f"{path} exists", hint="choose another place, or pass --overwrite")
    for side, path in enumerate(paths):
        write_blocks(path, exported(source, chosen, path, side=side))
