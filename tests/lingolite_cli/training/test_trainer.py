"""The loop: resumption, accumulation, averaging, early stopping, and its ends."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import msgspec
import pytest
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel, prepare_model_for_qat
from lingolite_cli.training.checkpoint import mean_weights, read_weights
from lingolite_cli.training.examples import Examples
from lingolite_cli.training.options import TrainingOptions
from lingolite_cli.training.trainer import Status, Trainer, TrainingOutcome

OPTIONS = TrainingOptions(
    batch_tokens=60, learning_rate=5e-3, warmup_steps=4, checkpoint_every=4, log_every=1, max_steps=12
)


class Killed(Exception):
    """Stands for the signal: raised between two steps, when nothing may be written any more."""


def change(**options) -> TrainingOptions:
    return msgspec.structs.replace(OPTIONS, **options)


def train(
    model: MobileTranslationModel, examples: Examples, directory: Path, *, options: TrainingOptions = OPTIONS, **rest
) -> TrainingOutcome:
    return Trainer(model, examples, directory=directory, options=options, **rest).run()


def kill_at(step: int):
    def observe(status: Status) -> None:
        if status.step == step and not status.is_checkpoint:
            raise Killed

    return observe


def assert_same(first: MobileTranslationModel, second: MobileTranslationModel) -> None:
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


@pytest.mark.parametrize("kills", [(6,), (2, 5, 11)], ids=str)
def test_killed_and_resumed_ends_in_the_same_bits(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path, kills: tuple[int, ...]
) -> None:
    """With dropout, over an epoch's end, with averaging and two batches a step."""
    options = change(average=2, accumulate=2)
    others = [deepcopy(model) for _ in range(len(kills) + 1)]
    before = model.encoder.embedding.weight.detach().clone()
    expected = train(model, examples, tmp_path / "whole", options=options)
    assert expected.position.epoch >= 1
    assert not torch.equal(model.encoder.embedding.weight, before)

    for killed, step in zip(others, kills, strict=False):
        with pytest.raises(Killed):
            train(killed, examples, tmp_path / "parts", options=options, observe=kill_at(step))
        torch.manual_seed(step)  # what happens in between is of no account
    outcome = train(others[-1], examples, tmp_path / "parts", options=options)

    assert_same(others[-1], model)
    assert outcome.position.loss == expected.position.loss
    lines = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    figures = [[(line["step"], line["loss"], line["learning_rate"]) for line in file] for file in lines]
    assert figures[0] == figures[1]
    assert [line[0] for line in figures[0]] == list(range(1, 13))


def test_raised_limit_trains_on(model: MobileTranslationModel, examples: Examples, tmp_path: Path) -> None:
    other = deepcopy(model)
    train(model, examples, tmp_path / "whole")
    train(other, examples, tmp_path / "parts", options=change(max_steps=8))
    train(other, examples, tmp_path / "parts")
    assert_same(model, other)


def test_accumulated_batches_make_the_gradient_of_all_their_tokens(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path
) -> None:
    """One step by hand, with the mean over all tokens of three batches; float32, to 1e-6."""
    from lingolite_cli.training.examples import epoch_batches
    from lingolite_cli.training.optimization import cross_entropy

    model.config = msgspec.structs.replace(model.config, dropout=0.0)
    model = MobileTranslationModel.from_config(model.config)
    other = deepcopy(model)
    batches = epoch_batches(examples, batch_tokens=60, seed=17, epoch=0)[:3]
    total, num_tokens = torch.zeros(()), 0
    for indices in batches:
        batch = examples.batch(indices)
        logits = other(batch.source_ids, batch.decoder_ids)
        total = total + cross_entropy(logits, batch.labels, pad_id=0, label_smoothing=0.1)
        num_tokens += int((batch.labels != 0).sum())
    loss = total / num_tokens
    loss.backward()
    torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)
    decay = {name: 0.01 if "_proj" in name else 0.0 for name, _ in other.named_parameters()}
    with torch.no_grad():  # the first step of AdamW moves each weight by the rate in the gradient's direction
        for name, parameter in other.named_parameters():
            parameter.mul_(1 - 5e-3 * decay[name])
            parameter.sub_(5e-3 * parameter.grad / (parameter.grad.abs() + 1e-8))

    outcome = train(model, examples, tmp_path, options=change(accumulate=3, warmup_steps=1, max_steps=1))

    assert outcome.position.loss == pytest.approx(loss.item(), abs=1e-5)
    differences = [(first - second).abs() for first, second in zip(model.parameters(), other.parameters(), strict=True)]
    moved = torch.cat([difference.flatten() for difference in differences])
    assert (moved < 1e-5).float().mean() > 0.99  # a gradient near 0 may have either sign


def test_weights_are_the_mean_of_the_last_checkpoints(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path
) -> None:
    outcome = train(model, examples, tmp_path, options=change(average=2))
    assert (outcome.weights, outcome.position.kept) == ("mean of 2", (8, 12))
    kept = [read_weights(tmp_path, step) for step in (8, 12)]
    for name, parameter in model.named_parameters():
        expected = (kept[0][name].double() + kept[1][name].double()) / 2
        torch.testing.assert_close(parameter.detach(), expected.float(), atol=0, rtol=0)
        assert torch.equal(mean_weights(tmp_path, (8, 12))[name], parameter)
    assert not list(tmp_path.glob("weights-*04.pt"))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_early_stopping_keeps_the_best_checkpoint(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path, sign: float
) -> None:
    scores = iter([3.0, 5.0, 4.0, 4.5, 9.0])
    outcome = train(
        model,
        examples,
        tmp_path,
        options=change(patience=2, max_steps=100),
        score=lambda model: sign * next(scores),
        higher_is_better=sign > 0,
    )
    assert (outcome.ended_by, outcome.position.step) == ("patience", 16)
    assert (outcome.weights, outcome.dev_score) == ("best (step 8)", sign * 5.0)
    best = read_weights(tmp_path, 8)
    assert all(torch.equal(parameter, best[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_checkpoints_with_equal_scores_are_chosen_by_loss(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path, sign: float
) -> None:
    """By the mean training loss since the checkpoint before; a tie is no improvement that patience would wait for."""
    shown: list[Status] = []
    outcome = train(
        model,
        examples,
        tmp_path,
        options=change(patience=2, max_steps=100),
        score=lambda model: sign * 5.0,
        higher_is_better=sign > 0,
        observe=shown.append,
    )
    assert (outcome.ended_by, outcome.position.step) == ("patience", 12)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    means = {step: sum(losses[step - back] for back in range(4)) / 4 for step in (4, 8, 12)}
    best = min(means, key=means.__getitem__)
    assert best != 4, "the old choice was the first of them"
    assert outcome.position.best_step == best
    assert outcome.position.best_loss == pytest.approx(means[best])
    assert {status.step: status.loss for status in shown if status.is_checkpoint} == pytest.approx(means)
    kept = read_weights(tmp_path, best)
    assert all(torch.equal(parameter, kept[name]) for name, parameter in model.named_parameters())


def test_examples_and_tokens_are_counted_and_go_on_after_a_stop(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path
) -> None:
    shown: list[Status] = []
    with pytest.raises(Killed):
        train(deepcopy(model), examples, tmp_path, options=change(accumulate=2), observe=kill_at(6))
    outcome = train(model, examples, tmp_path, options=change(accumulate=2), observe=shown.append)
    whole = train(deepcopy(model), examples, tmp_path / "whole", options=change(accumulate=2))
    assert (outcome.position.examples, outcome.position.tokens) == (whole.position.examples, whole.position.tokens)
    assert (shown[-1].examples, shown[-1].tokens) == (outcome.position.examples, outcome.position.tokens)
    assert outcome.position.examples > outcome.position.step


@pytest.mark.parametrize(("mean", "chosen"), [(6.0, "mean of 3"), (4.5, "best (step 8)")])
def test_mean_is_chosen_where_it_scores_higher(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path, mean: float, chosen: str
) -> None:
    scores = iter([3.0, 5.0, 4.0, mean])
    outcome = train(model, examples, tmp_path, options=change(average=3), score=lambda model: next(scores))
    assert (outcome.weights, outcome.dev_score) == (chosen, max(mean, 5.0))


@pytest.mark.parametrize(
    ("later", "chosen"), [((4.0, 4.9, 3.0), "start"), ((4.0, 6.0, 3.0), "best (step 8)")], ids=["worse", "better"]
)
def test_start_is_kept_where_training_makes_it_worse(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path, later: tuple[float, ...], chosen: str
) -> None:
    before = deepcopy(model)
    scores = iter([5.0, *later, 1.0])
    with pytest.raises(Killed):
        train(
            model,
            examples,
            tmp_path,
            score=lambda model: next(scores),
            scores_start=True,
            observe=kill_at(6),
        )
    resumed = deepcopy(before)
    outcome = train(resumed, examples, tmp_path, score=lambda model: next(scores), scores_start=True)
    assert outcome.weights == chosen
    assert outcome.dev_score == max(5.0, *later)
    is_start = [torch.equal(mine, its) for mine, its in zip(resumed.parameters(), before.parameters(), strict=True)]
    assert all(is_start) == (chosen == "start")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "dev_score" in line] == [0, 4, 8, 12]


def test_time_limit_counts_the_time_before(model: MobileTranslationModel, examples: Examples, tmp_path: Path) -> None:
    options = change(max_steps=None, max_minutes=1e-9)
    first = train(model, examples, tmp_path, options=options)
    assert (first.ended_by, first.position.step) == ("max_minutes", 1)
    again = train(model, examples, tmp_path, options=options)
    assert (again.ended_by, again.position.step) == ("max_minutes", 1)


def test_training_without_an_end_is_refused(model: MobileTranslationModel, examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="nothing would end this training"):
        train(model, examples, tmp_path, options=change(max_steps=None, patience=3))


def test_loss_that_is_not_finite_is_an_error(model: MobileTranslationModel, examples: Examples, tmp_path: Path) -> None:
    with torch.no_grad():
        model.decoder.final_norm.weight.fill_(float("nan"))
    with pytest.raises(LingoLiteError, match="the loss is nan at step 1"):
        train(model, examples, tmp_path)


def test_damaged_checkpoint_is_refused(model: MobileTranslationModel, examples: Examples, tmp_path: Path) -> None:
    train(model, examples, tmp_path, options=change(max_steps=4))
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(LingoLiteError, match=r"cannot read .*checkpoint\.pt"):
        train(model, examples, tmp_path)


@pytest.mark.parametrize("prepare", [lambda model: model, prepare_model_for_qat], ids=["float", "qat"])
def test_bfloat16_learns_too(model: MobileTranslationModel, examples: Examples, tmp_path: Path, prepare) -> None:
    options = change(precision="bfloat16", max_steps=40)
    losses: list[float] = []
    model = prepare(model)
    train(model, examples, tmp_path, options=options, observe=lambda status: losses.append(status.loss))
    assert losses[-1] < 0.8 * losses[0]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_events_continue_where_the_checkpoint_stands(
    model: MobileTranslationModel, examples: Examples, tmp_path: Path
) -> None:
    """What TensorBoard itself reads: each step once, with the figures of the lines."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = deepcopy(model)
    with pytest.raises(Killed):
        train(killed, examples, tmp_path, observe=kill_at(6))
    train(killed, examples, tmp_path)

    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    shown = {event.step: event.value for event in events.Scalars("training/loss")}
    assert [event.step for event in events.Scalars("training/loss")] == list(range(1, 13))
    assert shown == pytest.approx({line["step"]: line["loss"] for line in lines})
