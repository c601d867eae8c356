"""The toolchain for Python users: the same checks, cache and results as the commands.

Everything here is also at package level: `from lingolite_cli import translate`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.conversion import export_job
from lingolite_cli.jobs.evaluation import EvaluationRequest, evaluate, flat_report
from lingolite_cli.jobs.inputs import corpus_input, model_path
from lingolite_cli.jobs.job import convert_and_publish
from lingolite_cli.jobs.runnable import backend_for, format_of
from lingolite_cli.jobs.translation import EngineRequest, asked_decoding, open_translator

if TYPE_CHECKING:
    from lingolite_cli.model import MobileTranslationModel

    Model = str | Path | Artifact | MobileTranslationModel


@overload
def translate(texts: str, **options: Any) -> str: ...
@overload
def translate(texts: Sequence[str], **options: Any) -> list[str]: ...
def translate(
    texts: str | Sequence[str],
    *,
    model: str | Path | Artifact | None = None,
    backend: str | None = None,
    languages: tuple[str, str] | None = None,
    batch_size: int = 32,
    threads: int | None = None,
    workers: int = 1,
    **decoding: Any,
) -> str | list[str]:
    """Translate one sentence or several.

    Args:
        texts: a sentence, or a sequence of sentences.
        model: an artifact; default: the project's model.
        backend: the backend; default: one that runs the artifact. If it needs another format, the artifact is
            converted into the cache.
        languages: source and target language; default: those of the project, or of the model.
        batch_size: most sentences in a batch.
        threads: threads for the engine; default: the project's.
        workers: processes that translate at the same time, each with an engine of its own.
        **decoding: `beam_size`, `length_penalty`, `max_length`, `min_length`; default: those of the
            project, or of the artifact.

    Returns:
        A string for a string, a list for a sequence.

    Raises:
        LingoLiteError: the artifact, backend, languages or decoding options cannot be used.
    """
    if "n_best" in decoding:
        raise LingoLiteError(
            "translate returns the best translation alone", hint="`lingolite translate --n-best N` gives several"
        )
    context = _context()
    artifact = model if isinstance(model, Artifact) else Artifact.open(model_path(context, _path(model)))
    options = asked_decoding(context, artifact, decoding)
    request = EngineRequest(
        backend=backend, threads=threads, workers=workers, languages=languages, batch_size=batch_size
    )
    sentences = [texts] if isinstance(texts, str) else texts
    with open_translator(context, artifact, request, decoding=options, console=context.console()) as opened:
        found = [translation.text for translation in opened.translator.translate(sentences)]
    return found[0] if isinstance(texts, str) else found


def translate_stream(
    text: str,
    *,
    model: str | Path | Artifact | None = None,
    backend: str | None = None,
    languages: tuple[str, str] | None = None,
    threads: int | None = None,
    **decoding: Any,
) -> Iterator[str]:
    """Translate one sentence by greedy search, and give its text piece by piece, as it comes.

    Args:
        text: a sentence.
        model: an artifact; default: the project's model.
        backend: the backend; default: one that runs the artifact. If it needs another format, the artifact is
            converted into the cache.
        languages: source and target language; default: those of the project, or of the model.
        threads: threads for the engine; default: the project's.
        **decoding: `max_length`, `min_length`.

    Returns:
        Pieces that make up what `translate` returns.

    Raises:
        LingoLiteError: as of `translate`; or the engine gives whole translations only.
    """
    context = _context()
    artifact = model if isinstance(model, Artifact) else Artifact.open(model_path(context, _path(model)))
    options = asked_decoding(context, artifact, decoding)
    request = EngineRequest(backend=backend, threads=threads, languages=languages)
    with open_translator(context, artifact, request, decoding=options, console=context.console()) as opened:
        shown = ""
        for found in opened.translator.translate_in_steps(text):
            if found.text != shown:
                yield found.text[len(shown) :]
                shown = found.text


def evaluate_model(
    model: Model,
    *,
    source: str | Path,
    targets: str | Path | Sequence[str | Path] = (),
    languages: tuple[str, str] | None = None,
    backend: str | None = None,
    metrics: str | Sequence[str] = ("bleu", "chrf"),
    max_samples: int | None = None,
    tokenizer: str | Path | None = None,
    threads: int | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Score a model on a test set, as `lingolite eval` does.

    Args:
        model: an artifact or its path; or a float `MobileTranslationModel`, with `tokenizer`.
        source: sources, one a line; or, without `targets`, a TSV file of sources and references.
        targets: a file of references, one a line, or several.
        languages: source and target language; default: those of the project, or of the model.
        backend: the backend; where it reads another format, the model is converted first.
        metrics: name of a metric plugin, or several.
        max_samples: only the first so many sentences.
        tokenizer: the SentencePiece model of a `MobileTranslationModel`.
        threads: threads for the engine; default: the project's.
        workers: processes that translate at the same time, each with an engine of its own.

    Returns:
        The JSON of `lingolite eval`: `bleu`, `bleu_1` … `bleu_4`, `chrf`, `bp`, `sys_len`, `ref_len`,
        `num_samples`, `signatures` and what was scored.

    Raises:
        LingoLiteError: the model, the text or a plugin cannot be used.
    """
    context = _context()
    references = [Path(target) for target in _listed(targets)]
    corpus = corpus_input(context, source=Path(source), targets=references, languages=languages)
    with _on_disk(model, tokenizer) as path:
        request = EvaluationRequest(
            command="evaluate_model",
            model=path,
            backend=backend_for(context, format=format_of(path), asked=backend),
            corpus=corpus,
            metrics=[str(name) for name in _listed(metrics)],
            max_samples=max_samples,
            threads=threads,
            workers=workers,
        )
        return flat_report(evaluate(context, request, context.console()))


def export_full_model(
    model: Model,
    out: str | Path,
    *,
    format: str = "onnx",
    tokenizer: str | Path | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Artifact:
    """Export encoder and decoder, as `lingolite export` does.

    Args:
        model: an artifact or its path, float or quantized; or a float `MobileTranslationModel`, with `tokenizer`.
        out: the directory to make.
        format: name of the exporter.
        tokenizer: the SentencePiece model of a `MobileTranslationModel`.
        overwrite: replace an artifact at `out`.
        **options: the exporter's, such as `opset_version` and `max_seq_len`.

    Raises:
        LingoLiteError: the model cannot be exported, or `out` exists.
    """
    context = _context()
    with _on_disk(model, tokenizer) as path:
        job = export_job(context, path, command="export_full_model", format=format, options=options)
        convert_and_publish(context, job, context.console(), out=Path(out), overwrite=overwrite)
    return Artifact.open(out)


def _context() -> JobContext:
    return JobContext(is_quiet=True)


def _listed(values: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    """One value as a list of one: a string is a sequence too, of letters that nobody means."""
    return [values] if isinstance(values, str | Path) else values


def _path(model: str | Path | None) -> Path | None:
    return None if model is None else Path(model)


@contextmanager
def _on_disk(model: Model, tokenizer: str | Path | None) -> Iterator[Path]:
    """The path of an artifact; a model that is only in memory is written to a temporary bundle first."""
    if isinstance(model, Artifact):
        yield model.path.resolve()
    elif isinstance(model, str | Path):
        yield Path(model).resolve()
    elif tokenizer is None:
        raise LingoLiteError("a model in memory has no tokenizer", hint="pass tokenizer=PATH, or a bundle")
    else:
        from lingolite_cli.model import save_bundle

        with scratch_directory() as directory:
            yield save_bundle(model, directory / "bundle", tokenizer=tokenizer).path
