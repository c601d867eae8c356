"""`lingolite shortlist`: the target tokens that a source can need, from parallel text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.artifact import Artifact
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Languages, Model, Overwrite, parse_languages
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import check_writable
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext


def shortlist(
    typer_context: typer.Context,
    text: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Parallel text to learn from, a .tsv, plain or .gz; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to make.")],
    model: Model = None,
    languages: Languages = None,
    dev: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .tsv to measure coverage on. Default: the project's dev set."),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most target tokens that a source token brings.")
    ] = 50,
    frequent: Annotated[
        int, typer.Option(min=0, metavar="N", help="Frequent target tokens that every sentence has.")
    ] = 300,
    iterations: Annotated[int, typer.Option(min=1, metavar="N", help="Of expectation maximization.")] = 3,
    max_pairs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pairs to learn from, spread over the text.")
    ] = 200_000,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a vocabulary shortlist for faster decoding: `lingolite export --shortlist` puts it into an artifact."""
    context = context_of(typer_context)
    console = context.console(json=json)
    if out.is_dir() or (out.exists() and not overwrite):
        raise LingoLiteError(f"{out} exists", hint="choose another place, or pass --overwrite for a file")
    check_writable(out.resolve().parent)
    artifact = Artifact.open(adhoc.model_path(context, model))
    pair = _languages(context, artifact, parse_languages(languages))

    from lingolite_cli.shortlist.learning import LearningOptions, learn_shortlist, measure_coverage
    from lingolite_cli.tokenization.opening import open_tokenizer

    tokenizer = open_tokenizer(artifact)
    dev_pairs = _dev(context, dev, console)
    pairs = _pairs(text, console)
    console.note(f"learning from {min(len(pairs), max_pairs):,} of {len(pairs):,} pairs")
    options = LearningOptions(
        num_candidates=candidates, num_frequent=frequent, iterations=iterations, max_pairs=max_pairs
    )
    digest = artifact.manifest.files[artifact.tokenizer_path.name].sha256
    made = learn_shortlist(pairs, tokenizer, digest=digest, languages=pair, options=options)
    coverage = measure_coverage(made, dev_pairs, tokenizer) if dev_pairs else None
    made.write(out)
    console.print_json({"out": str(out), "details": made.details, "frequent": len(made.frequent), "coverage": coverage})
    console.print(
        f"{out}: {'-'.join(pair)} from {made.details.num_pairs:,} pairs, {made.details.method}\n"
        f"  {len(made.frequent):,} tokens for every sentence, up to {candidates} for each source token"
    )
    if coverage is not None:
        console.print(
            f"  on {coverage.num_sentences:,} sentences of the dev text: {coverage.token_share:.2%} of the reference "
            f"tokens covered,\n  all of them in {coverage.sentence_share:.1%} of the sentences; "
            f"{coverage.mean_target_tokens:,.0f} of {coverage.vocab_size:,} target tokens a sentence"
        )


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


def _pairs(files: list[Path], console: Console) -> list[tuple[str, str]]:
    from lingolite_cli.corpora.pairs import BadRows, good_pairs, read_rows

    found: list[tuple[str, str]] = []
    for file in files:
        bad = BadRows(is_refused=False)
        found += [(pair.source, pair.target) for pair in good_pairs(read_rows([file]), bad)]
        for kind, count in bad.counts.items():
            console.warn(f"{count:,} rows left out: {kind}, first at {bad.first[kind]}")
    return found


def _dev(context: JobContext, named: Path | None, console: Console) -> list[tuple[str, str]]:
    """Pairs to measure coverage on; none where no text with references is known."""
    from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus

    spec = CorpusSpec(tsv=str(named.resolve())) if named else context.project.settings.dev
    if spec is None or not (spec.tsv or spec.references):
        console.note("coverage is not measured: there is no --dev, and no [dev] with references in lingolite.toml")
        return []
    corpus = read_corpus(spec, name="dev", root=context.project.root)
    return list(zip(corpus.sources, corpus.references[0], strict=True))
