"""`lingolite serve`: a server over an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.artifact import Artifact
from lingolite_cli.commands.aliases import takes_aliases
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    Backend,
    BeamSize,
    LengthPenalty,
    MaxLength,
    Options,
    SplitSentences,
    Threads,
    Workers,
    parse_languages,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.output import check_output
from lingolite_cli.jobs.inputs import model_path
from lingolite_cli.jobs.job import given_of
from lingolite_cli.jobs.plugin_options import plugin_options
from lingolite_cli.jobs.runnable import backend_to_translate
from lingolite_cli.jobs.serving import ServingRequest, serve
from lingolite_cli.jobs.translation import asked_decoding
from lingolite_cli.schema import convert, parse_options


@takes_aliases("backend")
def serve_model(
    typer_context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="The artifact, or a checkpoint; default: the project's model."),
    ] = None,
    server: Annotated[str, typer.Option(metavar="NAME", help="The plugin that speaks to clients.")] = "http",
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Where it listens; default: 127.0.0.1, this machine alone.")
    ] = None,
    port: Annotated[int | None, typer.Option(metavar="N", help="Default: 5000; 0: any.")] = None,
    backend: Backend = None,
    languages: Annotated[
        list[str] | None,
        typer.Option(metavar="SRC-TGT", help="A pair to translate, repeatable; default: all that the model has."),
    ] = None,
    split_sentences: SplitSentences = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_length: MaxLength = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Most sentences in a batch; default: 16.")] = None,
    max_delay_ms: Annotated[
        float | None,
        typer.Option(metavar="MS", help="Longest wait for a batch to fill while a worker is idle; default: 2."),
    ] = None,
    max_waiting: Annotated[
        int | None, typer.Option(metavar="N", help="Most sentences that wait, others are refused; default: 1024.")
    ] = None,
    max_characters: Annotated[
        int | None, typer.Option(metavar="N", help="Most characters of a request; default: 5000.")
    ] = None,
    max_texts: Annotated[int | None, typer.Option(metavar="N", help="Most texts of a request; default: 64.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Longest time until a request is translated; default: 30.")
    ] = None,
    sample_log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record requests here, for `lingolite monitor`.")
    ] = None,
    sample_share: Annotated[
        float | None, typer.Option(metavar="X", help="Share of the requests that is recorded; default: 1.")
    ] = None,
    sample_texts: Annotated[
        bool, typer.Option("--sample-texts", help="Record sources and translations, too: they may be personal data.")
    ] = False,
    sample_max_mb: Annotated[
        float | None, typer.Option(metavar="MB", help="Size at which the log is renamed; five are kept; default: 100.")
    ] = None,
    server_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the server; repeatable.")
    ] = None,
    option: Options = None,
    threads: Threads = None,
    workers: Workers = None,
    *,
    aliased: Mapping[str, Any],
) -> None:
    """Serve translations. Ends on SIGTERM or Ctrl-C, after the answers to all requests that it accepted."""
    context = context_of(typer_context)
    context.registry.resolve("server", server)  # a missing extra is told before a model is read
    from lingolite_cli.serving.batcher import BatchPolicy
    from lingolite_cli.serving.sample import SampleLogOptions
    from lingolite_cli.serving.service import ServingLimits

    policy = given_of(batch_size=batch_size, max_delay_ms=max_delay_ms, max_waiting=max_waiting)
    limits = given_of(max_characters=max_characters, max_texts=max_texts, max_seconds=max_seconds)
    sampling = given_of(share=sample_share, max_mb=sample_max_mb, has_texts=sample_texts or None)
    path = model_path(context, model)
    if sample_log is not None:
        check_output(sample_log, flag="--sample-log", inputs=[path])
    elif sampling:
        raise LingoLiteError("what is sampled was said, and not where", hint="add --sample-log FILE")
    artifact = Artifact.open(path)
    decoding = asked_decoding(
        context, artifact, {"beam_size": beam_size, "length_penalty": length_penalty, "max_length": max_length}
    )
    pairs = parse_options(option)
    name = backend_to_translate(
        context, format=artifact.manifest.format, asked=backend, has_options=bool(aliased or pairs)
    )
    request = ServingRequest(
        backend=name,
        options=plugin_options(context.registry, kind="backend", name=name, aliased=aliased, pairs=pairs),
        threads=threads,
        workers=workers or 1,
        languages=[pair for text in languages or () if (pair := parse_languages(text))],
        is_splitting=split_sentences,
        policy=convert(policy, BatchPolicy, where="batches"),
        limits=convert(limits, ServingLimits, where="limits"),
        server=server,
        server_options=plugin_options(
            context.registry,
            kind="server",
            name=server,
            aliased=given_of(host=host, port=port),
            pairs=parse_options(server_option, flag="--server-option"),
        ),
        log=None
        if sample_log is None
        else convert({"path": str(sample_log), **sampling}, SampleLogOptions, where="log"),
    )
    serve(context, artifact, request, decoding=decoding, console=context.console())
