"""`lingolite serve`: an artifact opened in workers, behind a queue, behind a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.runnable import backend_to_translate, convert_for
from lingolite_cli.jobs.translation import translation_languages

if TYPE_CHECKING:
    from lingolite_cli.serving.batcher import BatchPolicy
    from lingolite_cli.serving.sample import SampleLogOptions
    from lingolite_cli.serving.service import Languages, ServingLimits, TranslationService

_DIGITS = 16
_MOST_NAMED = 8


class ServingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How an artifact is served; None leaves a choice to the project.

    Attributes:
        backend: that runs the artifact.
        options: the backend's.
        threads: for each engine.
        workers: processes that each have an engine.
        languages: pairs that are translated; none: that of `translate`, or for a model of more than two languages all.
        is_splitting: whether paragraphs are split into sentences; None leaves it to what the model was trained on.
        policy: when sentences are translated together.
        limits: of requests.
        server: name of the plugin that speaks to clients.
        server_options: its options.
        log: where requests are recorded; None is nowhere.
    """

    backend: str | None = None
    options: Mapping[str, Any] = {}
    threads: int | None = None
    workers: int = 1
    languages: Sequence[Languages] = ()
    is_splitting: bool | None = None
    policy: BatchPolicy
    limits: ServingLimits
    server: str
    server_options: Mapping[str, Any] = {}
    log: SampleLogOptions | None = None


def serve(
    context: JobContext, artifact: Artifact, request: ServingRequest, *, decoding: DecodingOptions, console: Console
) -> None:
    """Serve an artifact until this process is asked to end.

    Raises:
        LingoLiteError: a plugin, the artifact, the address or the log cannot be used; nothing was served.
    """
    server = context.registry.resolve("server", request.server).create(options=dict(request.server_options))
    from lingolite_cli.serving.sample import SampleLog

    with ExitStack() as open_now:
        open_now.callback(server.close)
        server.check()
        service = open_now.enter_context(open_service(context, artifact, request, decoding=decoding, console=console))
        pairs = ", ".join(f"{source} to {target}" for source, target in service.pairs[:_MOST_NAMED])
        more = f" and {len(service.pairs) - _MOST_NAMED} more" if len(service.pairs) > _MOST_NAMED else ""
        console.note(f"{artifact.path.name} ({artifact.manifest.format}, {service.model}): {pairs}{more}")
        log = None if request.log is None else open_now.enter_context(closing(SampleLog(request.log)))
        server.serve(service, log)


@contextmanager
def open_service(
    context: JobContext, artifact: Artifact, request: ServingRequest, *, decoding: DecodingOptions, console: Console
) -> Iterator[TranslationService]:
    """An artifact in workers of its own, after a conversion in the cache if its backend reads another format.

    Raises:
        LingoLiteError: as of `serve`.
    """
    if decoding.n_best != 1:
        raise LingoLiteError(
            f"the model's decoding has n_best = {decoding.n_best}", hint="a server gives the best translation alone"
        )
    threads = context.project.threads if request.threads is None else request.threads
    name = backend_to_translate(
        context, format=artifact.manifest.format, asked=request.backend, has_options=bool(request.options)
    )
    loaded = context.registry.resolve("backend", name)
    loaded.options(request.options)  # what is wrong in them is refused before a conversion
    artifact = convert_for(context, artifact, console, backend=name, threads=threads)
    # numpy and the tokenizer's library: what was refused above is refused without waiting for them.
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.serving.batcher import Batcher
    from lingolite_cli.serving.service import TranslationService
    from lingolite_cli.tokenization.opening import open_tokenizer
    from lingolite_cli.workers.pool import open_pool

    tokenizer = open_tokenizer(artifact)
    pairs = _pairs(context, artifact, request.languages, known=tokenizer.languages)
    for pair in pairs:
        tokenizer.check_languages(pair)
    blocked = tuple(sorted(context.registry.host.blocked))
    with closing(
        open_pool(loaded, artifact, options=request.options, threads=threads, workers=request.workers, blocked=blocked)
    ) as pool:
        for warning in pool.warnings:
            console.warn(warning)
        yield TranslationService(
            lambda pair: Translator(pool, tokenizer, artifact.manifest.model, pair, options=decoding),
            pairs,
            Batcher(pool, request.policy),
            limits=request.limits,
            is_splitting=artifact.manifest.is_sentence_level if request.is_splitting is None else request.is_splitting,
            model=artifact.digest.removeprefix("sha256:")[:_DIGITS],
            unknown_id=tokenizer.description.ids.unknown,
        )


def _pairs(
    context: JobContext, artifact: Artifact, asked: Sequence[Languages], *, known: Sequence[str]
) -> tuple[Languages, ...]:
    if asked:
        return tuple(dict.fromkeys(asked))
    if len(artifact.manifest.languages) <= 2:
        return (translation_languages(context, artifact),)
    return tuple(permutations(known, 2))
