"""`lingolite shortlist`: the target tokens that a source can need, learned from parallel text.

Owns which text is learned from and measured on. How a shortlist is learned is in `lingolite_cli.shortlist.learning`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.output import check_output
from lingolite_cli.files.special import is_special
from lingolite_cli.jobs.context import JobContext

if TYPE_CHECKING:
    from lingolite_cli.shortlist.learning import Coverage
    from lingolite_cli.shortlist.shortlist import Shortlist


class ShortlistRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a shortlist is learned from, and how large it gets.

    Attributes:
        model: the artifact whose tokenizer it is for.
        texts: TSV files of parallel text, plain or gzip.
        out: the file to make.
        languages: source and target language; None is the project's, or the model's two.
        dev: a TSV file to measure coverage on; None is the project's dev set.
        num_candidates: most target tokens that a source token brings.
        num_frequent: target tokens that every sentence has.
        iterations: of expectation maximization.
        max_pairs: pairs to learn from, spread over the text.
        overwrite: replace a file at `out`.
    """

    model: Path
    texts: tuple[Path, ...]
    out: Path
    languages: tuple[str, str] | None = None
    dev: Path | None = None
    num_candidates: int
    num_frequent: int
    iterations: int
    max_pairs: int
    overwrite: bool = False


class LearnedShortlist(msgspec.Struct, frozen=True):
    """What was learned, for which languages, and how much of the dev text it covers, if there is one."""

    shortlist: Shortlist
    languages: tuple[str, str]
    coverage: Coverage | None


def make_shortlist(context: JobContext, request: ShortlistRequest, console: Console) -> LearnedShortlist:
    """Learn a shortlist and write it.

    Raises:
        LingoLiteError: `out` cannot be written, which is refused before any work; or the model or a text cannot be
            read.
    """
    out = request.out
    if out.is_dir() or (out.exists() and not request.overwrite and not is_special(out)):
        raise LingoLiteError(f"{out} exists", hint="choose another place, or pass --overwrite for a file")
    check_output(out, flag="--out", inputs=[request.model, *request.texts, *([request.dev] if request.dev else [])])
    artifact = Artifact.open(request.model)
    languages = _languages(context, artifact, request.languages)

    from lingolite_cli.shortlist.learning import LearningOptions, learn_shortlist, measure_coverage
    from lingolite_cli.tokenization.opening import open_tokenizer

    tokenizer = open_tokenizer(artifact)
    dev_pairs = _dev(context, request.dev, console)
    pairs = _pairs(request.texts, console)
    console.note(f"learning from {min(len(pairs), request.max_pairs):,} of {len(pairs):,} pairs")
    options = LearningOptions(
        num_candidates=request.num_candidates,
        num_frequent=request.num_frequent,
        iterations=request.iterations,
        max_pairs=request.max_pairs,
    )
    digest = artifact.tokenizer_digest
    made = learn_shortlist(pairs, tokenizer, digest=digest, languages=languages, options=options)
    coverage = measure_coverage(made, dev_pairs, tokenizer) if dev_pairs else None
    made.write(out)
    return LearnedShortlist(made, languages, coverage)


def _languages(context: JobContext, artifact: Artifact, asked: tuple[str, str] | None) -> tuple[str, str]:
    known = artifact.manifest.languages
    pair = asked or context.project.settings.languages
    if pair is None and len(known) == 2:
        return known[0], known[1]
    if pair is None:
        raise LingoLiteError("the text does not say its languages", hint="pass --languages SRC-TGT")
    for language in pair:
        if language not in known:
            raise LingoLiteError(
                f"the model does not know the language `{language}`", hint=f"it knows {', '.join(known)}"
            )
    return pair


def _pairs(files: tuple[Path, ...], console: Console) -> list[tuple[str, str]]:
    from lingolite_cli.corpora.pairs import BadRows, good_pairs, place_of, read_rows

    found: list[tuple[str, str]] = []
    for file in files:
        bad = BadRows(str(file))
        found += [(pair.source, pair.target) for pair in good_pairs(read_rows([file]), bad)]
        for kind, count in bad.counts.items():
            console.warn(f"{count:,} rows left out: {kind}, first at {place_of(file, bad.first[kind])}")
    return found


def _dev(context: JobContext, named: Path | None, console: Console) -> list[tuple[str, str]]:
    """Pairs to measure coverage on; none where no text with references is known."""
    from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus

    spec = CorpusSpec(tsv=os.path.abspath(named)) if named else context.project.settings.dev
    if spec is None or not spec.has_references:
        console.note("coverage is not measured: there is no --dev, and no [dev] with references in lingolite.toml")
        return []
    corpus = read_corpus(spec, name="dev", root=context.project.root)
    return list(zip(corpus.sources, corpus.references[0], strict=True))
