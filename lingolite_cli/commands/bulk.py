"""The flags of `lingolite translate --out`: what they mean together, and what they exclude."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.commands.options import parse_compression, parse_shard_lines
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.corpus_translation import CorpusTranslationRequest
from lingolite_cli.jobs.source_texts import check_is_lines
from lingolite_cli.jobs.steps_ahead import LOCAL


def bulk_options(
    out: Path | None,
    file: Path | None,
    *,
    shard_lines: int | None,
    compression: str | None,
    executor: str | None,
    overwrite: bool,
) -> CorpusTranslationRequest | None:
    """What is asked for with `--out`; None without it.

    Raises:
        LingoLiteError: a flag of corpora was given without `--out`, or `--out` without a file.
    """
    given = {
        "--shard-lines": shard_lines is not None,
        "--compression": compression is not None,
        "--executor": executor is not None,
        "--overwrite": overwrite,
    }
    if out is None:
        for flag, is_given in given.items():
            if is_given:
                raise LingoLiteError(f"{flag} without --out", hint="it goes with a corpus: --file FILE --out DIR")
        return None
    if file is None:
        raise LingoLiteError("--out without --file", hint="name the lines or the corpus to translate: --file FILE")
    return CorpusTranslationRequest(
        source=file,
        out=out,
        shard_lines=parse_shard_lines(shard_lines),
        compression=parse_compression(compression),
        executor=executor or LOCAL,
        overwrite=overwrite,
    )


def check_bulk(
    bulk: CorpusTranslationRequest, *, document: str | None, output: Path | None, is_stream: bool, has_text: bool
) -> None:
    """Refuse what gives anything but a corpus.

    Raises:
        LingoLiteError: naming the flag.
    """
    for flag, is_given in (("TEXT", has_text), ("--output", output is not None), ("--stream", is_stream)):
        if is_given:
            raise LingoLiteError(f"--out and {flag} contradict one another", hint="--out writes a corpus")
    if not bulk.source.is_dir():
        check_is_lines(bulk.source, kind=document)
