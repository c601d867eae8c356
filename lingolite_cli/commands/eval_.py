"""`lingolite eval`: scores of a model through a backend on a test set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.commands.aliases import takes_aliases
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    Backend,
    BeamSize,
    JsonFlag,
    Languages,
    LengthPenalty,
    MaxLength,
    Metrics,
    Model,
    Options,
    Threads,
    Tokenizer,
    Workers,
    parse_languages,
    parse_metrics,
)
from lingolite_cli.files.atomic import copy_atomic, write_atomic
from lingolite_cli.files.digests import canonical_json
from lingolite_cli.files.output import check_output
from lingolite_cli.files.special import is_special
from lingolite_cli.jobs.evaluation import EvaluationRequest, evaluate, flat_report
from lingolite_cli.jobs.inputs import corpus_input, input_paths, languages_of_model, model_path
from lingolite_cli.jobs.job import given_of
from lingolite_cli.jobs.plugin_options import plugin_options
from lingolite_cli.jobs.runnable import backend_for, format_of, uncached_backend
from lingolite_cli.schema import parse_options
from lingolite_cli.views.evaluation import show_evaluations


@takes_aliases("backend")
def score_model(
    typer_context: typer.Context,
    model: Model = None,
    tokenizer: Tokenizer = None,
    backend: Backend = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sources, one a line; or a TSV file, without --target.")
    ] = None,
    target: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="References, one a line; repeatable.")
    ] = None,
    test_set: Annotated[
        str | None,
        typer.Option("--test-set", "-t", metavar="NAME", help="A public test set that sacreBLEU has, such as wmt22."),
    ] = None,
    languages: Languages = None,
    metrics: Metrics = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most sentences in a batch.")] = None,
    max_length: MaxLength = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_samples: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first so many sentences.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Decode without a KV cache; alias of --backend eager.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not reuse an earlier result.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON result here.")] = None,
    save_translations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the translations here, JSON lines.")
    ] = None,
    option: Options = None,
    threads: Threads = None,
    workers: Workers = None,
    json: JsonFlag = False,
    *,
    aliased: Mapping[str, Any],
) -> None:
    """Translate a test set and score it. Inside a project no option is needed."""
    context = context_of(typer_context)
    console = context.console(json=json)
    pair = parse_languages(languages)
    if test_set is not None and pair is None:
        pair = context.project.settings.languages or languages_of_model(model or model_path(context, None))
    corpus = corpus_input(context, source=source, targets=target or [], test_set=test_set, languages=pair)
    model_inputs = [given for given in (model, tokenizer) if given is not None] or [model_path(context, None)]
    inputs = [*model_inputs, *input_paths(corpus)]
    if output:
        check_output(output, flag="--output", inputs=inputs)
    if save_translations:
        others = [output] if output and not is_special(output) else []
        check_output(save_translations, flag="--save-translations", inputs=[*inputs, *others])
    path = model_path(context, model, tokenizer=tokenizer)
    chosen = backend_for(context, format=format_of(path), asked=uncached_backend(backend) if no_cache else backend)
    request = EvaluationRequest(
        command="eval",
        model=path,
        backend=chosen,
        corpus=corpus,
        metrics=parse_metrics(metrics),
        batch_size=batch_size,
        max_samples=max_samples,
        decoding=given_of(max_length=max_length, beam_size=beam_size, length_penalty=length_penalty),
        options=plugin_options(
            context.registry, kind="backend", name=chosen, aliased=aliased, pairs=parse_options(option)
        ),
        threads=threads,
        workers=workers,
        is_fresh=fresh,
    )
    evaluation = evaluate(context, request, console)
    report = flat_report(evaluation)
    if output:
        write_atomic(output, msgspec.json.format(canonical_json(report), indent=2) + b"\n")
    if save_translations:
        copy_atomic(evaluation.translations, save_translations)
    console.print_json(report)
    show_evaluations([evaluation.record], console)
