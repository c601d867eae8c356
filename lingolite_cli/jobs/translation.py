"""`lingolite translate`, `translate` and `translate_stream`: an artifact opened with a backend, to translate with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.job import given_of
from lingolite_cli.jobs.runnable import backend_to_translate, convert_for
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.recipe.decoding import resolve_decoding
from lingolite_cli.settings import SETTINGS_NAME

if TYPE_CHECKING:
    from lingolite_cli.decoding.sentences import SentenceTranslator


class EngineRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How an artifact is run; None leaves a choice to the project.

    Attributes:
        backend: its name; None is the one that runs the artifact.
        options: the backend's.
        threads: for each engine.
        workers: processes that each have an engine, and share what is to be translated.
        languages: source and target language; None is those of the project, or of the model.
        batch_size: most sentences in a batch.
        is_splitting: whether texts are split into sentences; None leaves it to what the model was trained on.
    """

    backend: str | None = None
    options: Mapping[str, Any] = {}
    threads: int | None = None
    workers: int = 1
    languages: tuple[str, str] | None = None
    batch_size: int = 1
    is_splitting: bool | None = None


class OpenTranslator(msgspec.Struct, frozen=True):
    """A translator over an open engine, and what the engine warns of on this machine."""

    translator: SentenceTranslator
    warnings: tuple[str, ...]


class PreparedEngine(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run, after a conversion, and all that was left to the project or the model.

    Attributes:
        loaded: the backend.
        artifact: of a format that the backend runs.
        languages: source and target language.
        is_splitting: whether texts are split into sentences.
        threads: for each engine.
    """

    loaded: Loaded
    artifact: Artifact
    languages: tuple[str, str]
    is_splitting: bool
    threads: int


def prepare_engine(
    context: JobContext, artifact: Artifact, request: EngineRequest, *, decoding: DecodingOptions, console: Console
) -> PreparedEngine:
    """Resolve a request, and convert the artifact in the cache if the backend reads another format.

    Args:
        context: project and plugins.
        artifact: what to run.
        request: how to run it.
        decoding: how hypotheses are searched.
        console: told of a conversion.

    Raises:
        LingoLiteError: the backend cannot be used, no plugin leads from this format to one that it reads, or the
            languages are not known.
    """
    languages = translation_languages(context, artifact, request.languages)
    is_splitting = _is_splitting(artifact, request, decoding)
    threads = context.project.threads if request.threads is None else request.threads
    if threads < 1:
        raise LingoLiteError(f"threads must be at least 1, not {threads}")
    name = backend_to_translate(
        context, format=artifact.manifest.format, asked=request.backend, has_options=bool(request.options)
    )
    loaded = context.registry.resolve("backend", name)
    loaded.options(request.options)  # what is wrong in them is refused before a conversion
    artifact = convert_for(context, artifact, console, backend=name, threads=threads)
    return PreparedEngine(
        loaded=loaded, artifact=artifact, languages=languages, is_splitting=is_splitting, threads=threads
    )


@contextmanager
def open_translator(
    context: JobContext, artifact: Artifact, request: EngineRequest, *, decoding: DecodingOptions, console: Console
) -> Iterator[OpenTranslator]:
    """Open `artifact` with a backend, after a conversion in the cache if that reads another format.

    Args:
        context: project and plugins.
        artifact: what to run.
        request: how to run it.
        decoding: how hypotheses are searched.
        console: told of a conversion.

    Returns:
        A translator until the block ends.

    Raises:
        LingoLiteError: as of `prepare_engine`, or the engine cannot be opened.
    """
    engine = prepare_engine(context, artifact, request, decoding=decoding, console=console)
    # numpy and the tokenizer's library: what was refused above is refused without waiting for them.
    from lingolite_cli.decoding.sentences import SentenceTranslator
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.tokenization.opening import open_tokenizer
    from lingolite_cli.workers.pool import open_backend

    blocked = tuple(sorted(context.registry.host.blocked))
    backend, capabilities = open_backend(
        engine.loaded,
        engine.artifact,
        options=request.options,
        threads=engine.threads,
        workers=request.workers,
        blocked=blocked,
    )
    with closing(backend):
        translator = Translator(
            backend,
            open_tokenizer(engine.artifact),
            engine.artifact.manifest.model,
            engine.languages,
            options=decoding,
            batch_size=request.batch_size,
            capabilities=capabilities,
        )
        texts = SentenceTranslator(translator, engine.languages, is_splitting=engine.is_splitting)
        yield OpenTranslator(texts, tuple(getattr(backend, "warnings", ())))


def _is_splitting(artifact: Artifact, request: EngineRequest, decoding: DecodingOptions) -> bool:
    if decoding.n_best == 1:
        return artifact.manifest.is_sentence_level if request.is_splitting is None else request.is_splitting
    if request.is_splitting:
        raise LingoLiteError(
            f"split sentences and {decoding.n_best} best translations contradict one another",
            hint="each sentence would have as many: give one sentence a line, without --split-sentences",
        )
    return False


def check_sentences(sentences: Sequence[Any]) -> None:
    """Refuse what is no text before any is translated: one bad sentence would take its whole batch with it.

    Raises:
        LingoLiteError: naming the first that is not a string, or has half a character.
    """
    for number, sentence in enumerate(sentences, start=1):
        if not isinstance(sentence, str):
            raise LingoLiteError(f"sentence {number} is of type {type(sentence).__name__}, not text", hint="pass a str")
        try:
            sentence.encode()
        except UnicodeEncodeError as error:
            half = ord(sentence[error.start])
            raise LingoLiteError(
                f"sentence {number}, character {error.start + 1}: U+{half:04X} is half of a character",
                hint="the text was cut inside of an emoji or the like, or decoded with `surrogateescape`",
            ) from None


def translation_languages(
    context: JobContext, artifact: Artifact, asked: tuple[str, str] | None = None
) -> tuple[str, str]:
    """The pair that was asked for, or that of the project where the model has it, or that of the model.

    Raises:
        LingoLiteError: none of them says, or source and target are the same language.
    """
    known = artifact.manifest.languages
    projects = context.project.settings.languages
    if asked is None and projects is not None and (set(projects) <= set(known) or len(known) != 2):
        asked = projects  # a model with a pair of its own may be none of the project's
    if asked is None and len(known) < 2:
        raise LingoLiteError("the model does not say its languages", hint="pass --languages SRC-TGT")
    pair = asked or (known[0], known[1])
    if pair[0] == pair[1]:
        raise LingoLiteError(f"source and target are the same language, `{pair[0]}`")
    return pair


def asked_decoding(context: JobContext, artifact: Artifact, asked: Mapping[str, Any]) -> DecodingOptions:
    """The artifact's decoding defaults, under the project's for `evaluate` steps, under what was asked for.

    Args:
        context: whose project's `[defaults.evaluate]` may have `decoding`.
        artifact: what is run.
        asked: by the command; None is not given.

    Raises:
        LingoLiteError: a value is out of range, or beyond the model's positions.
    """
    found = context.evaluate_default("decoding")
    table = {} if found is None else found
    where = f"{SETTINGS_NAME}: `defaults.evaluate.decoding`"
    if not isinstance(table, Mapping):
        raise LingoLiteError(f"{where}: expected `table`, not {table}")
    resolve_decoding(artifact.manifest, table, where=where)  # so that an error names the file that is wrong
    options = resolve_decoding(artifact.manifest, {**table, **given_of(**asked)}, where="decoding")
    positions = artifact.manifest.model.max_seq_len
    if options.max_length > positions:
        raise LingoLiteError(
            f"max_length {options.max_length} is more than the {positions} positions that the model has"
        )
    return options
