"""What all steps that train share: checks, the state on disk, the session, and what is shown meanwhile.

A training that was killed goes on from its last checkpoint. Its state lies under a key of its own, which does not
cover the code nor what ends the training: with more steps or minutes allowed, it is trained further.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.support import require_trainable
from lingolite_cli.artifact import MANIFEST_NAME, Artifact, Manifest
from lingolite_cli.console import Progress
from lingolite_cli.corpora.pairs import Text, TextReport
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.files.lock import exclusive
from lingolite_cli.recipe.model import Positive, Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.step_result import TrainingRecord
from lingolite_cli.training.launch import rank
from lingolite_cli.training.metrics import EVENTS_NAME, METRICS_NAME, training_curve
from lingolite_cli.training.options import TextOptions, TrainingOptions

if TYPE_CHECKING:
    from lingolite_cli.training.session import DevText, Fitted, Session
    from lingolite_cli.training.trainer import Status, TrainingOutcome


class LearningStep(Step, frozen=True, kw_only=True):
    """A step that trains on `data`, inputs with `pairs`; one that is named twice counts twice.

    `metric` scores the text `dev` at each checkpoint; `cross-entropy` needs no backend. `text` says which pairs are
    good.
    """

    data: tuple[str, ...] = ()
    dev: str | None = None
    dev_samples: Positive | None = None
    metric: str = "chrf"
    languages: tuple[str, str] | None = None
    text: TextOptions = TextOptions()


class DevScorer(msgspec.Struct, frozen=True):
    """What scores the dev text at each checkpoint: the backend that translates it, and the metric."""

    backend: PluginChoice
    metric: PluginChoice

    @property
    def plugins(self) -> tuple[PluginChoice, PluginChoice]:
        """Both, in the order of records."""
        return self.backend, self.metric


class PlannedTraining(PlannedStep, frozen=True, kw_only=True):
    """A step that trains, with what scores its dev text; None without one, and for the cross-entropy."""

    step: LearningStep
    scorer: DevScorer | None = None


CROSS_ENTROPY = "cross-entropy"
_ENDS = ("max_steps", "max_minutes", "patience", "log_every")


def check_learning(
    step: LearningStep, scope: Scope, *, options: TrainingOptions, manifest: Manifest
) -> tuple[str, ...]:
    """Refuse a model that cannot be trained, unknown text or languages, and a training that would not end.

    Returns:
        source and target language.
    """
    require_trainable(manifest.model, engine=scope.place(step, "a training"))
    languages = step.languages or manifest.languages[:2]
    if len(set(languages)) != 2 or not set(languages) <= set(manifest.languages):
        raise scope.error(
            step, "languages", f"{list(languages)} are not two of the model's languages {list(manifest.languages)}"
        )
    for reference in step.data:
        scope.check_training_text(step, "data", reference)
    if not step.data:
        raise scope.error(
            step, "data", "there is nothing to train on", hint='name inputs with pairs: data = ["inputs.NAME"]'
        )
    ends = (options.max_steps, options.max_minutes, options.patience)
    if not any(ends) or (options.patience and step.dev is None):
        raise scope.error(
            step, "options", "nothing would end this training", hint="set max_steps, max_minutes, or patience with dev"
        )
    return languages


def find_scorer(
    step: LearningStep, scope: Scope, *, languages: tuple[str, ...], find_backend: Callable[[], PluginChoice]
) -> DevScorer | None:
    """What scores the dev text; None without one, and for the cross-entropy."""
    if step.dev is None:
        return None
    corpus = scope.corpus(step, "dev", step.dev)
    if not corpus.has_references:
        raise scope.error(step, "dev", f"`{step.dev}` has no references to score against")
    if step.metric == CROSS_ENTROPY:
        return None
    metric = scope.plugin(step, "metric", kind="metric", name=step.metric, options={}, target=languages[1])
    if not metric.loaded.spec.ranks:
        raise scope.error(step, "metric", f"`{step.metric}` describes translations and cannot pick the better weights")
    return DevScorer(find_backend(), metric)


def learning_settings(
    step: LearningStep, *, languages: tuple[str, ...], options: dict[str, Any] | None = None
) -> dict[str, Any]:
    """All that decides what is learnt, as plain values; `options` are the resolved ones if the step's are not."""
    plain = {name: value for name, value in msgspec.to_builtins(step).items() if name not in ("id", "uses")}
    return {**plain, "languages": list(languages), "options": plain["options"] if options is None else options}


def describe_learning(step: LearningStep, options: TrainingOptions) -> str:
    """What is trained on, and what ends it, for the plan."""
    ends = {"steps": options.max_steps, "minutes": options.max_minutes, "checkpoints of patience": options.patience}
    limits = ", ".join(f"{value:g} {name}" for name, value in ends.items() if value is not None)
    return f"on {', '.join(step.data)}; {limits}"


def training_state(planned: PlannedStep, workspace: Workspace) -> Path:
    """Where the checkpoints of a step lie that trains; its inputs must be known."""
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
    return workspace.state_root / "train" / sha256_json(description)


class TrainingInterrupted(KeyboardInterrupt):
    """A training that was asked to end.

    Args:
        step: of the recipe.
        checkpoint: where it goes on; None where none was written yet.
        position: training steps of the checkpoint.
        checkpoint_every: training steps between two.
    """

    def __init__(self, *, step: str, checkpoint: Path | None, position: int, checkpoint_every: int) -> None:
        super().__init__()
        self.step = step
        self.checkpoint = checkpoint
        self.position = position
        self.checkpoint_every = checkpoint_every


class Learning:
    """The training of one step.

    Args:
        planned: the step, whose `options` are `learning_settings`.
        workspace: of the run.
        options: the training's.
        source: the bundle that it starts from, if it does.
        manifest: sizes and languages of what is trained.

    Attributes:
        texts: what each text had; known when `fit` is done.
    """

    def __init__(
        self,
        planned: PlannedTraining,
        workspace: Workspace,
        *,
        options: TrainingOptions,
        source: Artifact | None,
        manifest: Manifest,
    ) -> None:
        self._step = planned.step
        self._workspace = workspace
        self._options = options
        self._scorer = planned.scorer
        self._source = source
        self._manifest = manifest
        self._languages = (planned.options["languages"][0], planned.options["languages"][1])
        self._state = training_state(planned, workspace)
        self.texts: list[TextReport] = []

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While the block lasts, no other run trains in the same state; it waits for one that does."""
        if rank() > 0:
            yield
            return
        waiting = partial(
            self._workspace.console.note, f"{self._step.id}: waiting for another run that trains the same"
        )
        with exclusive(self._state.with_name(f"{self._state.name}.lock"), waiting=waiting):
            yield

    def fit(self, **hooks: Any) -> tuple[Session, Fitted]:
        """Train, or go on training; `hooks` are `prepare` and `convert` of the session."""
        from lingolite_cli.training.session import Session, fit

        if self._workspace.is_fresh and rank() == 0:
            shutil.rmtree(self._state, ignore_errors=True)
        self._state.mkdir(parents=True, exist_ok=True)
        counted = "seconds" if self._options.max_steps is None else "steps"
        label = f"{self._step.id}: {counted}"
        with self._stops(), self._workspace.console.progress(label, total=_total(self._options)) as progress:
            session = Session(
                source=self._source,
                config=_with_dropout(self._manifest.model, self._options.dropout),
                languages=self._languages,
                known_languages=self._manifest.languages,
                texts=[self._text(reference) for reference in self._step.data],
                text_cache=self._workspace.text_cache,
                text=self._step.text,
                options=self._options,
                seed=self._workspace.seed,
                threads=self._workspace.threads,
                directory=self._state,
                score=self._score(),
                higher_is_better=self._scorer is not None and self._scorer.metric.loaded.spec.goal == "higher",
                observe=_Display(self._step, self._options, self._workspace, progress).show,
                report=self._report,
                check_texts=partial(self._workspace.check_untouched, self._step.data),
                **hooks,
            )
            return session, fit(session)

    @contextmanager
    def _stops(self) -> Iterator[None]:
        """Say of a training that is interrupted from which checkpoint it can go on."""
        from lingolite_cli.training.session import last_checkpoint

        try:
            yield
        except KeyboardInterrupt:
            if rank() > 0:
                raise
            last = last_checkpoint(self._state)
            raise TrainingInterrupted(
                step=self._step.id,
                checkpoint=last.path if last else None,
                position=last.step if last else 0,
                checkpoint_every=self._options.checkpoint_every,
            ) from None

    def record(self, outcome: TrainingOutcome, directory: Path) -> TrainingRecord:
        """What is recorded of a finished training, whose measurements go into the step's `directory`."""
        shutil.copyfile(self._state / METRICS_NAME, directory / METRICS_NAME)
        if (self._state / EVENTS_NAME).is_dir():
            shutil.copytree(self._state / EVENTS_NAME, directory / EVENTS_NAME)
        position = outcome.position
        return TrainingRecord(
            texts=self.texts,
            num_steps=position.step,
            num_epochs=position.epoch,
            num_tokens=position.tokens,
            minutes=position.seconds / 60,
            loss=position.loss,
            ended_by=outcome.ended_by,
            weights=outcome.weights,
            metric=self._step.metric if self._step.dev else None,
            dev_score=outcome.dev_score,
            metrics="",
            curve=training_curve(self._state / METRICS_NAME),
        )

    def _text(self, reference: str) -> Text:
        workspace = self._workspace
        if reference not in workspace.plan.pairs:
            return Text(
                (workspace.collection(reference).path / MANIFEST_NAME,), label=reference.removeprefix("inputs.")
            )
        spec = workspace.plan.pairs[reference]
        return Text(tuple(spec.paths(workspace.plan.root)), spec.short_share)

    def _report(self, reports: list[TextReport]) -> None:
        self.texts.extend(reports)
        _warn(reports, self._workspace)

    def _score(self) -> Callable[[Artifact], float] | DevText | None:
        """How checkpoints are scored on the dev text: through the backend, as what is made in the end will be."""
        from lingolite_cli.decoding.translator import Translator
        from lingolite_cli.tokenization.opening import open_tokenizer
        from lingolite_cli.training.session import DevText

        step, workspace = self._step, self._workspace
        if step.dev is None:
            return None
        corpus = workspace.corpus(step.dev)
        sources = corpus.sources[: step.dev_samples]
        references = [stream[: step.dev_samples] for stream in corpus.references]
        if self._scorer is None:
            return DevText(sources, references[0])
        backend, metric = self._scorer.plugins

        def score(bundle: Artifact) -> float:
            with closing(workspace.open_backend(backend, bundle)) as engine:
                translator = Translator(
                    engine,
                    open_tokenizer(bundle),
                    bundle.manifest.model,
                    self._languages,
                    options=DecodingOptions(),
                    capabilities=backend.loaded.spec.capabilities,
                )
                hypotheses = [translation.text for translation in translator.translate(sources)]
            known = [list(alternatives) for alternatives in zip(*references, strict=True)]
            scorer = Scorer(workspace.create(metric), metric.loaded.spec)
            return float(scorer.score(Translations(list(sources), known, hypotheses)).value)

        return score


def _with_dropout(config: Architecture, dropout: float | None) -> Architecture:
    return config if dropout is None else msgspec.structs.replace(config, dropout=dropout)


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

    def __init__(self, step: LearningStep, options: TrainingOptions, workspace: Workspace, progress: Progress) -> None:
        self._step = step
        self._max_steps = options.max_steps
        self._counts_steps = options.max_steps is not None
        self._console = workspace.console
        self._progress = progress
        self._shown = 0

    def show(self, status: Status) -> None:
        """Show where the training stands."""
        done = status.step if self._counts_steps else int(status.seconds)
        seen = f"{_rounded(status.examples)} examples, {_rounded(status.tokens)} tokens"
        self._progress.advance(done - self._shown, remark=f"{seen}, loss {status.loss:.2f}")
        self._shown = done
        if status.is_checkpoint:
            dev = "" if status.dev_score is None else f", dev {self._step.metric} {status.dev_score:.3f}"
            if status.step == 0:
                self._console.note(f"{self._step.id}: at the start{dev}")
                return
            left = "" if status.seconds_left is None else f", {status.seconds_left / 60:.1f} min left"
            of_all = f" of {self._max_steps:,}" if self._max_steps is not None else ""
            seen = f"{status.examples:,} examples, {status.tokens:,} target tokens"
            figures = f"loss {status.loss:.3f}, {status.tokens_per_second:,.0f} tokens/s"
            self._console.note(f"{self._step.id}: step {status.step:,}{of_all}: {seen}, {figures}{dev}{left}")


def _rounded(count: int) -> str:
    """To three digits: a bar has little room."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)
