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
from lingolite_cli.jobs.checkpoint import artifact_path
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.conversion import export_job
from lingolite_cli.jobs.evaluation import EvaluationRequest, evaluate, flat_report
from lingolite_cli.jobs.inputs import corpus_input
from lingolite_cli.jobs.inputs import model_path as project_model
from lingolite_cli.jobs.job import convert_and_publish, given_of
from lingolite_cli.jobs.runnable import backend_for, format_of, uncached_backend
from lingolite_cli.jobs.translation import EngineRequest, asked_decoding, check_sentences, open_translator

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
    split_sentences: bool | None = None,
    **decoding: Any,
) -> str | list[str]:
    """Translate one text or several.

    Args:
        texts: a text, or a sequence of texts.
        model: an artifact; default: the project's model.
        backend: the backend; default: one that runs the artifact. If it needs another format, the artifact is
            converted into the cache.
        languages: source and target language; default: those of the project, or of the model.
        batch_size: most sentences in a batch.
        threads: threads for the engine; default: the project's.
        workers: processes that translate at the same time, each with an engine of its own.
        split_sentences: whether a text of several sentences is translated sentence by sentence; default: yes, unless
            the artifact says that it was trained on documents.
        **decoding: `beam_size`, `length_penalty`, `max_length`, `min_length`; default: those of the
            project, or of the artifact.

    Returns:
        A string for a string, a list for a sequence.

    Raises:
        LingoLiteError: the artifact, backend, languages or decoding options cannot be used, or a sentence is no text.
    """
    if "n_best" in decoding:
        raise LingoLiteError(
            "translate returns the best translation alone", hint="`lingolite translate --n-best N` gives several"
        )
    sentences = [texts] if isinstance(texts, str) else list(texts)
    check_sentences(sentences)
    context = _context()
    artifact = model if isinstance(model, Artifact) else Artifact.open(project_model(context, _path(model)))
    options = asked_decoding(context, artifact, decoding)
    request = EngineRequest(
        backend=backend,
        threads=threads,
        workers=workers,
        languages=languages,
        batch_size=batch_size,
        is_splitting=split_sentences,
    )
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
    split_sentences: bool | None = None,
    **decoding: Any,
) -> Iterator[str]:
    """Translate one text by greedy search, and give its translation piece by piece, as it comes.

    Args:
        text: a text.
        model: an artifact; default: the project's model.
        backend: the backend; default: one that runs the artifact. If it needs another format, the artifact is
            converted into the cache.
        languages: source and target language; default: those of the project, or of the model.
        threads: threads for the engine; default: the project's.
        split_sentences: as of `translate`.
        **decoding: `max_length`, `min_length`.

    Returns:
        Pieces that make up what `translate` returns.

    Raises:
        LingoLiteError: as of `translate`; or the engine gives whole translations only.
    """
    check_sentences([text])
    context = _context()
    artifact = model if isinstance(model, Artifact) else Artifact.open(project_model(context, _path(model)))
    options = asked_decoding(context, artifact, decoding)
    request = EngineRequest(backend=backend, threads=threads, languages=languages, is_splitting=split_sentences)
    with open_translator(context, artifact, request, decoding=options, console=context.console()) as opened:
        shown = ""
        for found in opened.translator.translate_in_steps(text):
            if found.text != shown:
                yield found.text[len(shown) :]
                shown = found.text


def evaluate_model(
    model_path: Model,
    tokenizer_path: str | Path | None = None,
    *,
    source_file: str | Path,
    target_file: str | Path | Sequence[str | Path] = (),
    languages: tuple[str, str] | None = None,
    backend: str | None = None,
    use_cache: bool = True,
    metrics: str | Sequence[str] = ("bleu", "chrf"),
    batch_size: int | None = None,
    max_length: int | None = None,
    max_samples: int | None = None,
    threads: int | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Score a model on a test set, as `lingolite eval` does.

    Args:
        model_path: an artifact or its path; a checkpoint; or a float `MobileTranslationModel`.
        tokenizer_path: of a checkpoint or of a model in memory: its SentencePiece model, or a directory that holds
            one; default for a checkpoint: the directory `tokenizer` beside it. For a model in memory also an artifact's
            directory, whose tokenizer is kept.
        source_file: sources, one a line; or, without `target_file`, a TSV file of sources and references.
        target_file: a file of references, one a line, or several.
        languages: source and target language; default: those of the project, or of the model.
        backend: the backend; where it reads another format, the model is converted first.
        use_cache: decode with a KV cache; False means the backend `eager`.
        metrics: name of a metric plugin, or several.
        batch_size: most sentences in a batch; default: the project's.
        max_length: most target tokens a sentence; default: the project's, or the artifact's.
        max_samples: only the first so many sentences.
        threads: threads for the engine; default: the project's.
        workers: processes that translate at the same time, each with an engine of its own.

    Returns:
        The JSON of `lingolite eval`: `bleu`, `bleu_1` … `bleu_4`, `chrf`, `bp`, `sys_len`, `ref_len`,
        `num_samples`, `signatures` and what was scored.

    Raises:
        LingoLiteError: the model, the text or a plugin cannot be used.
    """
    context = _context()
    references = [Path(target) for target in _listed(target_file)]
    corpus = corpus_input(context, source=Path(source_file), targets=references, languages=languages)
    with _on_disk(context, model_path, tokenizer_path) as path:
        asked = backend if use_cache else uncached_backend(backend)
        request = EvaluationRequest(
            command="evaluate_model",
            model=path,
            backend=backend_for(context, format=format_of(path), asked=asked),
            corpus=corpus,
            metrics=[str(name) for name in _listed(metrics)],
            batch_size=batch_size,
            decoding=given_of(max_length=max_length),
            max_samples=max_samples,
            threads=threads,
            workers=workers,
        )
        return flat_report(evaluate(context, request, context.console()))


def export_full_model(
    model_path: Model,
    output_dir: str | Path,
    *,
    tokenizer_path: str | Path | None = None,
    format: str = "onnx",
    optimize: bool | str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Artifact:
    """Export encoder and decoder, as `lingolite export` does.

    Args:
        model_path: an artifact or its path, float or quantized; a checkpoint; or a float `MobileTranslationModel`.
        output_dir: the directory to make.
        tokenizer_path: as of `evaluate_model`.
        format: name of the exporter.
        optimize: True also writes the graphs as ONNX Runtime's own optimizer fuses them; False, which is the default
            of ONNX exports, does not. A name is the exporter's.
        overwrite: replace an artifact at `output_dir`.
        **options: the exporter's, such as `opset_version` and `max_seq_len`.

    Returns:
        The artifact. `exported["encoder"]` is the path of the encoder, `exported["decoder"]` that of the decoder, and
        with `optimize` there are `"encoder_optimized"` and `"decoder_optimized"`.

    Raises:
        LingoLiteError: the model cannot be exported, or `output_dir` exists.
    """
    context = _context()
    named = ("onnxruntime" if optimize else "none") if isinstance(optimize, bool) else optimize
    with _on_disk(context, model_path, tokenizer_path) as path:
        asked = {**options, **given_of(optimize=named)}
        job = export_job(context, path, command="export_full_model", format=format, options=asked)
        convert_and_publish(context, job, context.console(), out=Path(output_dir), overwrite=overwrite)
    return Artifact.open(output_dir)


def _context() -> JobContext:
    return JobContext(is_quiet=True)


def _listed(values: str | Path | Sequence[str | Path]) -> Sequence[str | Path]:
    """One value as a list of one: a string is a sequence too, of letters that nobody means."""
    return [values] if isinstance(values, str | Path) else values


def _path(model: str | Path | None) -> Path | None:
    return None if model is None else Path(model)


@contextmanager
def _on_disk(context: JobContext, model: Model, tokenizer: str | Path | None) -> Iterator[Path]:
    """The path of an artifact; a model that is only in memory is written to a temporary bundle first."""
    if isinstance(model, Artifact):
        model = model.path
    if isinstance(model, str | Path):
        yield artifact_path(context, Path(model), tokenizer=_path(tokenizer))
    elif tokenizer is None:
        raise LingoLiteError("a model in memory has no tokenizer", hint="pass tokenizer_path=PATH, or a bundle")
    else:
        from lingolite_cli.model import save_bundle

        with scratch_directory() as directory:
            yield save_bundle(model, directory / "bundle", tokenizer=tokenizer).path
