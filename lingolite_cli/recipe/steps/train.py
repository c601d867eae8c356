"""`train`: a bundle from a bundle or from nothing, on text of one's own.

A training that was killed goes on from its last checkpoint. Its state lies under a key of its own, which does not
cover the code nor what ends the training: with more steps or minutes allowed, it is trained further.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.architecture import ModelConfig, preset
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, Artifact, Manifest, Provenance, canonical_json
from lingolite_cli.console import Progress
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.recipe.cache import ARTIFACT_NAME
from lingolite_cli.recipe.model import TrainStep
from lingolite_cli.recipe.record import TrainResult
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.schema import convert
from lingolite_cli.training.launch import rank
from lingolite_cli.training.metrics import EVENTS_NAME, METRICS_NAME, training_curve
from lingolite_cli.training.options import TrainingOptions
from lingolite_cli.training.text import Text, TextReport

if TYPE_CHECKING:
    from lingolite_cli.training.session import DevText
    from lingolite_cli.training.trainer import Status

CROSS_ENTROPY = "cross-entropy"
_ENDS = ("max_steps", "max_minutes", "patience", "log_every")


def check(step: TrainStep, scope: Scope) -> PlannedStep:
    """Refuse a model that cannot be trained, unknown text, plugins or sizes, and a training that would not end."""
    manifest = _manifest(step, scope)
    languages = step.languages or manifest.languages[:2]
    if len(languages) != 2 or not set(languages) <= set(manifest.languages):
        raise scope.error(
            step, "languages", f"{list(languages)} are not two of the model's languages {list(manifest.languages)}"
        )
    for reference in step.data:
        scope.training_text(step, "data", reference)
    if not step.data:
        raise scope.error(step, "data", "there is nothing to train on")
    ends = (step.options.max_steps, step.options.max_minutes, step.options.patience)
    if not any(ends) or (step.options.patience and step.dev is None):
        raise scope.error(
            step, "options", "nothing would end this training", hint="set max_steps, max_minutes, or patience with dev"
        )
    plugins = _dev_plugins(step, scope)
    settings = {name: value for name, value in msgspec.to_builtins(step).items() if name not in ("id", "uses")}
    return PlannedStep(
        step=step,
        inputs=tuple(filter(None, (step.model, *step.data, step.dev))),
        plugins=plugins,
        options={**settings, "languages": list(languages)},
        produces=BUNDLE,
        origin=scope.origin(step.model) if step.model else step.id,
        manifest=None if step.model else manifest,
        summary=f"{step.model or 'from scratch'} on {', '.join(step.data)}; {_end(step.options)}",
    )


def _end(options: TrainingOptions) -> str:
    ends = {"steps": options.max_steps, "minutes": options.max_minutes, "checkpoints of patience": options.patience}
    return ", ".join(f"{value:g} {name}" for name, value in ends.items() if value is not None)


def _manifest(step: TrainStep, scope: Scope) -> Manifest:
    """What the trained model will be: sizes and languages."""
    if (step.model is None) == (step.scratch is None):
        raise scope.error(
            step,
            "model",
            "a training starts from `model` or from `scratch`, and needs exactly one of them",
            hint='model = "inputs.model", or a table [steps.scratch]',
        )
    if step.model is not None:
        format = scope.artifact_format(step, "model", step.model)
        if format not in (BUNDLE, BUNDLE_FP16, BUNDLE_BF16):
            raise scope.error(
                step,
                "model",
                f"`{step.model}` is of format {format}; only float bundles can be trained",
                hint="train first, quantize afterwards",
            )
        return scope.manifest(step, "model", step.model)
    assert step.scratch is not None
    if step.languages is None:
        raise scope.error(step, "languages", "a model from scratch needs them", hint='languages = ["en", "da"]')
    sizes = msgspec.structs.asdict(preset(step.scratch.preset))
    where = f"step `{step.id}`, scratch.architecture"
    config = convert(
        {**sizes, **step.scratch.architecture, "vocab_size": step.scratch.vocab_size}, ModelConfig, where=where
    )
    return Manifest(format=BUNDLE, model=config, languages=step.languages, made_by=Provenance(operation="train"))


def _dev_plugins(step: TrainStep, scope: Scope) -> tuple[PluginChoice, ...]:
    """The backend and the metric that score the dev text."""
    if step.dev is None:
        return ()
    corpus = scope.corpus(step, "dev", step.dev)
    if not corpus.tsv and not corpus.references:
        raise scope.error(step, "dev", f"`{step.dev}` has no references to score against")
    if step.metric == CROSS_ENTROPY:
        return ()
    backend = scope.plugin(step, "backend", kind="backend", name=step.backend, options=step.backend_options)
    scope.accepted(step, backend, format=BUNDLE, reference="the trained bundle")
    return backend, scope.plugin(step, "metric", kind="metric", name=step.metric, options={})


def state_directory(planned: PlannedStep, workspace: Workspace) -> Path:
    """Where the checkpoints of a `train` step lie; its inputs must be known."""
    options = dict(planned.options)
    training = dict(options.pop("options"))
    if training["schedule"] != "cosine":  # whose rates depend on the end
        training = {name: value for name, value in training.items() if name not in _ENDS}
    description = {
        "options": options,
        "training": training,
        "inputs": [workspace.input_digest(reference) for reference in planned.inputs],
        "seed": workspace.seed,
    }
    return workspace.state_root / "train" / hashlib.sha256(canonical_json(description)).hexdigest()


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> TrainResult:
    """Train, or go on training."""
    from lingolite_cli.training.session import Session, train

    step = planned.step
    assert isinstance(step, TrainStep)
    source = workspace.artifact(step.model) if step.model else None
    state = state_directory(planned, workspace)
    if workspace.is_fresh and rank() == 0:
        shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, exist_ok=True)
    languages = (planned.options["languages"][0], planned.options["languages"][1])
    manifest = source.manifest if source else planned.manifest
    assert manifest is not None
    texts: list[TextReport] = []

    def report(reports: list[TextReport]) -> None:
        texts.extend(reports)
        _warn(reports, workspace)

    with workspace.console.progress(step.id, total=_total(step.options)) as progress:
        session = Session(
            source=source,
            config=_with_dropout(manifest.model, step.options.dropout),
            languages=languages,
            known_languages=manifest.languages,
            texts=[_text(workspace, reference) for reference in step.data],
            text=step.text,
            options=step.options,
            seed=workspace.seed,
            threads=workspace.threads,
            directory=state,
            score=_score(planned, workspace, languages),
            higher_is_better=planned.plugins[1].loaded.spec.higher_is_better if planned.plugins else False,
            observe=_Display(step, workspace, progress).show,
            report=report,
        )
        artifact, outcome = train(session, directory / ARTIFACT_NAME, made_by=_provenance(planned, workspace))
    shutil.copyfile(state / METRICS_NAME, directory / METRICS_NAME)
    if (state / EVENTS_NAME).is_dir():
        shutil.copytree(state / EVENTS_NAME, directory / EVENTS_NAME)
    position = outcome.position
    return TrainResult(
        source=summarize_artifact(source) if source else None,
        artifact=summarize_artifact(artifact),
        texts=texts,
        num_steps=position.step,
        num_epochs=position.epoch,
        num_tokens=position.tokens,
        minutes=position.seconds / 60,
        loss=position.loss,
        ended_by=outcome.ended_by,
        weights=outcome.weights,
        metric=step.metric if step.dev else None,
        dev_score=outcome.dev_score,
        metrics="",
        curve=training_curve(state / METRICS_NAME),
    )


def _text(workspace: Workspace, reference: str) -> Text:
    spec = workspace.plan.pairs[reference]
    return Text(tuple(spec.paths(workspace.plan.root)), spec.short_share)


def _with_dropout(config: ModelConfig, dropout: float | None) -> ModelConfig:
    return config if dropout is None else msgspec.structs.replace(config, dropout=dropout)


def _provenance(planned: PlannedStep, workspace: Workspace) -> Provenance:
    inputs = {
        reference.removeprefix("inputs."): workspace.input_digest(reference)
        for reference in dict.fromkeys(planned.inputs)
    }
    return Provenance(operation="train", options=planned.options["options"], inputs=inputs)


def _score(
    planned: PlannedStep, workspace: Workspace, languages: tuple[str, str]
) -> Callable[[Artifact], float] | DevText | None:
    """How checkpoints are scored on the dev text: through the backend, as the finished bundle will be."""
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.tokenizer import Tokenizer
    from lingolite_cli.training.session import DevText

    step = planned.step
    assert isinstance(step, TrainStep)
    if step.dev is None:
        return None
    corpus = workspace.corpus(step.dev)
    sources = corpus.sources[: step.dev_samples]
    references = [stream[: step.dev_samples] for stream in corpus.references]
    if not planned.plugins:
        return DevText(sources, references[0])
    backend, metric = planned.plugins

    def score(bundle: Artifact) -> float:
        with closing(workspace.create(backend, bundle, threads=workspace.threads)) as engine:
            translator = Translator(
                engine,
                Tokenizer(bundle.tokenizer_path),
                bundle.manifest.model,
                languages,
                options=DecodingOptions(),
                capabilities=backend.loaded.spec.capabilities,
            )
            hypotheses = [translation.text for translation in translator.translate(sources)]
        value: Any = workspace.create(metric).score(hypotheses, references).value
        return float(value)

    return score


def _warn(reports: list[TextReport], workspace: Workspace) -> None:
    if rank() > 0:
        return
    for report in reports:
        workspace.console.note(f"{report.name}: {report.num_pairs:,} of {report.num_rows:,} rows to train on")
        if report.bad:
            kinds = ", ".join(
                f"{count:,} {kind} (first: {report.first_bad[kind]})" for kind, count in report.bad.items()
            )
            workspace.console.warn(f"{report.name}: {sum(report.bad.values()):,} bad rows were skipped: {kinds}")


def _total(options: TrainingOptions) -> int | None:
    """What the bar counts: steps, or else seconds."""
    if options.max_steps is not None:
        return options.max_steps
    return None if options.max_minutes is None else round(options.max_minutes * 60)


class _Display:
    """A bar that moves with each step, and a line for each checkpoint."""

    def __init__(self, step: TrainStep, workspace: Workspace, progress: Progress) -> None:
        self._step = step
        self._console = workspace.console
        self._progress = progress
        self._shown = 0

    def show(self, status: Status) -> None:
        """Show where the training stands."""
        done = status.step if self._step.options.max_steps is not None else int(status.seconds)
        figures = f"loss {status.loss:.3f}, {status.tokens_per_second:,.0f} tokens/s"
        self._progress.advance(done - self._shown, remark=figures)
        self._shown = done
        if status.is_checkpoint:
            dev = "" if status.dev_score is None else f", dev {self._step.metric} {status.dev_score:.3f}"
            left = "" if status.seconds_left is None else f", {status.seconds_left / 60:.1f} min left"
            self._console.note(f"{self._step.id}: step {status.step:,}: {figures}{dev}{left}")
