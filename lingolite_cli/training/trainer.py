"""The training loop: steps, checkpoints, and the weights that it ends with.

Owns when things happen. What is read is in `examples`, what is minimized in `optimization`, what is kept on disk in
`checkpoint`; how the dev text is scored is the caller's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean

import msgspec
import torch
from torch import Tensor

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.model.device import find_device
from lingolite_cli.model.parameters import bundle_tensors
from lingolite_cli.training.checkpoint import (
    Position,
    forget_weights,
    has_checkpoint,
    mean_weights,
    read_checkpoint_into,
    read_weights,
    write_checkpoint,
    write_weights,
)
from lingolite_cli.training.examples import Batch, Examples, Ints, epoch_batches
from lingolite_cli.training.metrics import Measurements
from lingolite_cli.training.optimization import (
    cross_entropy,
    learning_rate,
    make_optimizer,
    reduced_precision,
    uses_bfloat16,
)
from lingolite_cli.training.options import TrainingOptions
from lingolite_cli.training.processes import Processes, local_device


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show after a step.

    `examples` and `tokens` are those trained on so far. `seconds_left` is None where nothing but patience ends the
    training. `dev_score` is that of a checkpoint, whose `loss` is the mean since the checkpoint before.
    """

    step: int
    examples: int
    tokens: int
    seconds: float
    loss: float
    tokens_per_second: float
    seconds_left: float | None
    dev_score: float | None = None
    is_checkpoint: bool = False


class TrainingOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a training ended; its model has the chosen weights.

    Attributes:
        position: where it ended.
        ended_by: `max_steps`, `max_minutes` or `patience`.
        weights: which were chosen: `start`, `last`, `best (step N)` or `mean of N`.
        dev_score: theirs.
    """

    position: Position
    ended_by: str
    weights: str
    dev_score: float | None


class Trainer:
    """Trains one model.

    Args:
        model: is changed in place.
        examples: what it learns from.
        directory: for checkpoints; one that has a checkpoint is resumed.
        options: of the training.
        seed: of batches and dropout.
        score: the score of a model on the dev text, if there is one.
        higher_is_better: of that score.
        scores_start: score the model as it is too, so that nothing worse is chosen.
        observe: told after every step.
        processes: all that train this model together.
    """

    def __init__(
        self,
        model: MobileTranslationModel,
        examples: Examples,
        *,
        directory: Path,
        options: TrainingOptions,
        seed: int = 17,
        score: Callable[[MobileTranslationModel], float] | None = None,
        higher_is_better: bool = True,
        scores_start: bool = False,
        observe: Callable[[Status], None] = lambda status: None,
        processes: Processes | None = None,
    ) -> None:
        if options.max_steps is None and options.max_minutes is None and (options.patience is None or score is None):
            raise LingoLiteError(
                "nothing would end this training", hint="set max_steps, max_minutes, or patience with a dev text"
            )
        self._processes = processes or Processes()
        self._device = find_device(local_device(options.device), hint='train with device = "cpu"')
        self._model = model.to(self._device)
        self._examples = examples
        self._directory = directory
        self._options = options
        self._seed = seed
        self._score = score
        self._sign = 1.0 if higher_is_better else -1.0
        self._scores_start = scores_start and score is not None
        self._observe = observe
        self._is_bfloat16 = uses_bfloat16(options, self._device)
        self._optimizer = make_optimizer(model, options)
        self._position = Position()
        self._losses: list[float] = []
        self._measurements = Measurements(directory)

    def run(self) -> TrainingOutcome:
        """Train until something ends it, from the last checkpoint where there is one.

        Raises:
            LingoLiteError: the loss is not finite, or the checkpoint is not of this training.
        """
        self._start()
        clock = _Clock(self._position)
        batches = self._batches()
        if self._scores_start and not has_checkpoint(self._directory):
            self._processes.agree(None)  # all have looked before one writes
            self._check(clock)
        checked = self._position.step
        while (ended_by := self._ended_by()) is None:
            self._step(batches, clock)
            if self._position.step % self._options.checkpoint_every == 0:
                self._check(clock)
                checked = self._position.step
        if checked != self._position.step:
            self._check(clock)
        self._measurements.close()
        return self._finish(ended_by)

    def _start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(self._seed + self._processes.rank)
        if has_checkpoint(self._directory):
            self._position = read_checkpoint_into(
                self._directory, self._model, self._optimizer, rank=self._processes.rank
            )
        if self._processes.is_first:
            self._measurements.start_after(self._position.step)
        self._processes.agree(None)

    def _ended_by(self) -> str | None:
        options, position = self._options, self._position
        if options.max_steps is not None and position.step >= options.max_steps:
            return "max_steps"
        if options.max_minutes is not None and position.seconds >= options.max_minutes * 60:
            return "max_minutes"
        if self._score and options.patience is not None and position.checks_since_best >= options.patience:
            return "patience"
        return None

    def _batches(self) -> Iterator[tuple[Position, Ints]]:
        """Each batch from the position on, and the position after it."""
        epoch, start = self._position.epoch, self._position.next_batch
        while True:
            cut = epoch_batches(
                self._examples,
                batch_tokens=self._options.batch_tokens,
                seed=self._seed,
                epoch=epoch,
            )
            for index in range(start, len(cut)):
                yield Position(epoch=epoch, next_batch=index + 1), cut[index]
            epoch, start = epoch + 1, 0

    def _step(self, batches: Iterator[tuple[Position, Ints]], clock: _Clock) -> None:
        """One step of the optimizer on `accumulate` batches a process: the mean over all of their tokens."""
        taken = [next(batches) for _ in range(self._options.accumulate * self._processes.size)]
        num_tokens = sum(int(self._examples.target_lengths[indices].sum()) for _, indices in taken)
        num_examples = sum(len(indices) for _, indices in taken)
        step = self._position.step + 1
        rate = learning_rate(step, self._options)
        self._model.train()
        self._optimizer.zero_grad(set_to_none=True)
        own = self._processes.share([indices for _, indices in taken])
        loss = self._processes.sum(sum(self._backward(self._examples.batch(indices), num_tokens) for indices in own))
        self._processes.sum_gradients(self._model.parameters())
        if not math.isfinite(loss):
            raise LingoLiteError(
                f"the loss is {loss} at step {step}", hint="lower learning_rate, or lengthen warmup_steps"
            )
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._options.clip_norm)
        for parameters in self._optimizer.param_groups:
            parameters["lr"] = rate
        self._optimizer.step()
        self._losses.append(loss)
        after = taken[-1][0]
        clock.count(num_tokens)
        self._position = msgspec.structs.replace(
            self._position,
            step=step,
            epoch=after.epoch,
            next_batch=after.next_batch,
            examples=self._position.examples + num_examples,
            tokens=self._position.tokens + num_tokens,
            seconds=self._processes.agree(clock.seconds),
            loss=loss,
        )
        self._report(clock, rate=rate, norm=float(norm))

    def _backward(self, batch: Batch, num_tokens: int) -> float:
        """Add the gradient of a batch's share of the step's mean loss; returns the share."""
        batch = batch.to(self._device)
        with reduced_precision(self._device, is_bfloat16=self._is_bfloat16):
            logits = self._model(batch.source_ids, batch.decoder_ids)
        smoothing, pad_id = self._options.label_smoothing, self._examples.ids.pad
        loss: Tensor = cross_entropy(logits, batch.labels, pad_id=pad_id, label_smoothing=smoothing) / num_tokens
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _report(self, clock: _Clock, *, rate: float, norm: float) -> None:
        if not self._processes.is_first:
            return
        position = self._position
        if position.step % self._options.log_every == 0 or position.step == 1:
            self._measurements.add(
                step=position.step,
                epoch=position.epoch,
                loss=position.loss,
                learning_rate=rate,
                gradient_norm=norm,
                tokens=position.tokens,
                tokens_per_second=clock.tokens_per_second,
                seconds=position.seconds,
            )
        self._observe(self._status(clock))

    def _status(self, clock: _Clock) -> Status:
        position = self._position
        return Status(
            step=position.step,
            examples=position.examples,
            tokens=position.tokens,
            seconds=position.seconds,
            loss=position.loss,
            tokens_per_second=clock.tokens_per_second,
            seconds_left=self._seconds_left(clock),
        )

    def _seconds_left(self, clock: _Clock) -> float | None:
        """Until the nearer of `max_minutes` and, at the speed so far, `max_steps`."""
        options, position = self._options, self._position
        left = []
        if options.max_minutes is not None:
            left.append(max(options.max_minutes * 60 - position.seconds, 0.0))
        if options.max_steps is not None:
            left.append((options.max_steps - position.step) * clock.seconds_per_step)
        return min(left, default=None)

    def _check(self, clock: _Clock) -> None:
        """Score the dev text, and write a checkpoint."""
        position = self._position
        score = self._agreed_score()
        # One step's loss is that of its few pairs: the mean since the last checkpoint tells more.
        loss = fmean(self._losses) if self._losses else None
        self._losses = []
        is_better = score is not None and self._is_better(score)
        is_best = is_better or self._is_tie_of_lower_loss(score, loss)
        kept = (*position.kept, position.step)[-self._options.average :]
        self._position = msgspec.structs.replace(
            position,
            kept=kept,
            best_step=position.step if is_best else position.best_step,
            best_score=score if is_best else position.best_score,
            best_loss=loss if is_best else position.best_loss,
            checks_since_best=0 if is_better else position.checks_since_best + 1,
            seconds=self._processes.agree(clock.seconds),
        )
        states = self._processes.gather(torch.get_rng_state())
        if self._processes.is_first:
            self._write_checkpoint(states)
            if score is not None:
                self._measurements.add(step=position.step, dev_score=score)
            shown = self._status(clock)
            mean = shown.loss if loss is None else loss
            self._observe(msgspec.structs.replace(shown, loss=mean, dev_score=score, is_checkpoint=True))

    def _write_checkpoint(self, random_states: list[Tensor]) -> None:
        position = self._position
        write_weights(self._directory, position.step, bundle_tensors(self._model))
        write_checkpoint(self._directory, self._model, self._optimizer, position, random_states=random_states)
        forget_weights(self._directory, but=sorted({*position.kept, position.best_step}))

    def _agreed_score(self) -> float | None:
        """The dev text's score of the weights as they are, which process 0 finds."""
        if self._score is None:
            return None
        return self._processes.agree(self._score(self._model.eval()) if self._processes.is_first else 0.0)

    def _is_better(self, score: float) -> bool:
        best = self._position.best_score
        return best is None or self._sign * (score - best) > 0

    def _is_tie_of_lower_loss(self, score: float | None, loss: float | None) -> bool:
        """Whether weights score as the best do, and were trained to a lower loss; those of the start have none."""
        position = self._position
        if score is None or loss is None or score != position.best_score:
            return False
        return position.best_loss is not None and loss < position.best_loss

    def _finish(self, ended_by: str) -> TrainingOutcome:
        """Put the weights of the best checkpoint into the model, or the mean of the last ones if that scores higher.

        Without a dev text it is the mean, and without averaging the last.
        """
        position = self._position
        self._processes.agree(None)  # the weights are on disk
        is_averaged = self._options.average > 1 and len(position.kept) > 1
        weights, score = "last", None
        if is_averaged:
            weights = f"mean of {len(position.kept)}"
            self._load(mean_weights(self._directory, position.kept))
        if self._score is not None:
            score = self._agreed_score() if is_averaged else position.best_score
            if not is_averaged or score is None or not self._is_better(score):
                weights = _best_name(position)
                score = position.best_score
                self._load(read_weights(self._directory, position.best_step))
        self._model.eval()
        return TrainingOutcome(position=position, ended_by=ended_by, weights=weights, dev_score=score)

    def _load(self, tensors: dict[str, Tensor]) -> None:
        self._model.load_state_dict(tensors, strict=False)  # copies of a tied embedding are not there


def _best_name(position: Position) -> str:
    if position.best_step == position.step:
        return "last"
    return "start" if position.best_step == 0 else f"best (step {position.best_step})"


class _Clock:
    """Time and speed of this process, on top of the time that earlier ones spent."""

    def __init__(self, position: Position) -> None:
        self._before = position.seconds
        self._started = time.monotonic()
        self._tokens = 0
        self._steps = 0

    def count(self, tokens: int) -> None:
        """Count one more step."""
        self._tokens += tokens
        self._steps += 1

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self._before + self._elapsed

    @property
    def tokens_per_second(self) -> float:
        """Target tokens, since this process began."""
        return self._tokens / self._elapsed

    @property
    def seconds_per_step(self) -> float:
        """Since this process began."""
        return self._elapsed / max(self._steps, 1)

    @property
    def _elapsed(self) -> float:
        return max(time.monotonic() - self._started, 1e-9)
