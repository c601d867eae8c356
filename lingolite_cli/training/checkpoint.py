"""The state of a training on disk: all that it takes to go on as if nothing had happened.

One directory holds `checkpoint.pt` (weights, optimizer, position, random states), the weights that may still be
averaged or chosen, and `metrics.jsonl`. Each file is written whole or not at all, weights before the checkpoint that
names them, so that a process may die at any moment. Files hold tensors and plain values only.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.model import MobileTranslationModel

CHECKPOINT_NAME = "checkpoint.pt"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training stands.

    Attributes:
        step: steps done.
        epoch: epochs begun, less one.
        next_batch: the next batch of the epoch.
        tokens: target tokens trained on.
        seconds: spent training, over all processes that resumed it.
        loss: mean of the last step, in nats a token, smoothed labels included.
        kept: steps of the last checkpoints whose weights are on disk, oldest first.
        examples: pairs trained on, each as often as it was.
        best_step: the step with the best score on the dev text; 0 is the start.
        best_score: its score; None without one.
        best_loss: the mean training loss up to it, since the checkpoint before; None at the start.
        checks_since_best: checkpoints since then.
    """

    step: int = 0
    epoch: int = 0
    next_batch: int = 0
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    kept: tuple[int, ...] = ()
    best_step: int = 0
    best_score: float | None = None
    best_loss: float | None = None
    checks_since_best: int = 0


def has_checkpoint(directory: Path) -> bool:
    """Whether a training can be resumed from `directory`."""
    return (directory / CHECKPOINT_NAME).is_file()


def checkpoint_step(directory: Path) -> int | None:
    """Steps done at the checkpoint in `directory`; None where there is none that can be read."""
    if not has_checkpoint(directory):
        return None
    try:
        return msgspec.convert(_read(directory / CHECKPOINT_NAME)["position"], Position).step
    except (LingoLiteError, KeyError, ValueError):
        return None


def write_checkpoint(
    directory: Path,
    model: MobileTranslationModel,
    optimizer: torch.optim.Optimizer,
    position: Position,
    *,
    random_states: Sequence[Tensor],
) -> None:
    """Write the whole state, with the random state of each process."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "position": msgspec.to_builtins(position),
        "random": list(random_states),
        "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    _write(directory / CHECKPOINT_NAME, state)


def read_checkpoint_into(
    directory: Path, model: MobileTranslationModel, optimizer: torch.optim.Optimizer, *, rank: int = 0
) -> Position:
    """Restore the whole state, with the random state of process `rank` if there was such a process.

    Raises:
        LingoLiteError: the checkpoint is damaged, or of another model.
    """
    path = directory / CHECKPOINT_NAME
    state = _read(path)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        position = msgspec.convert(state["position"], Position)
        if rank < len(state["random"]):
            torch.set_rng_state(state["random"][rank])
        if len(state["cuda_random"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_random"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise LingoLiteError(
            f"{path} is not a checkpoint of this training: {error}", hint="train afresh: --fresh"
        ) from None
    return position


def weights_path(directory: Path, step: int) -> Path:
    """Where the weights of a step lie."""
    return directory / f"weights-{step:08d}.pt"


def write_weights(directory: Path, step: int, tensors: Mapping[str, Tensor]) -> None:
    """Keep the weights of a step."""
    _write(weights_path(directory, step), dict(tensors))


def read_weights(directory: Path, step: int) -> dict[str, Tensor]:
    """The weights that `write_weights` kept."""
    tensors: dict[str, Tensor] = _read(weights_path(directory, step))
    return tensors


def forget_weights(directory: Path, *, but: Sequence[int]) -> None:
    """Remove the weights of all steps except `but`."""
    kept = {weights_path(directory, step).name for step in but}
    for path in directory.glob("weights-*.pt"):
        if path.name not in kept:
            path.unlink()


def mean_weights(directory: Path, steps: Sequence[int]) -> dict[str, Tensor]:
    """The mean of the weights of `steps`, summed in float64."""
    sums: dict[str, Tensor] = {}
    for step in steps:
        for name, tensor in read_weights(directory, step).items():
            sums[name] = sums[name] + tensor if name in sums else tensor.double()
    return {name: (total / len(steps)).float() for name, total in sums.items()}


def _write(path: Path, state: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise LingoLiteError(f"cannot read {path}: {error}", hint="train afresh: --fresh") from None
    return state
