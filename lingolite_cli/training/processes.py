"""Several processes that train one model, started by torchrun: what they are, and what they tell one another.

Each computes the gradient of its share of a step's batches; the sum over all of them is that of the whole step.
Process 0 alone writes files, scores the dev text and decides. With one process nothing is sent.
"""

from __future__ import annotations

import atexit
import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.training.launch import num_processes, rank

T = TypeVar("T")


class Processes:
    """This process among all.

    Args:
        rank: its number, from 0.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @property
    def is_first(self) -> bool:
        """Whether this process writes and decides."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of `items`."""
        return items[self.rank :: self.size]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def sum(self, value: float) -> float:
        """The sum of a number over the processes."""
        return sum(self.gather(value))

    def gather(self, value: T) -> list[T]:
        """The value of each process, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def agree(self, value: T) -> T:
        """The value of process 0."""
        return self.gather(value)[0]

    def require_shared(self, directory: Path) -> None:
        """Refuse a directory that is not the same one for all processes: they read what process 0 writes.

        Raises:
            LingoLiteError: in all processes, where one of them does not see a file that process 0 makes.
        """
        if self.size == 1:
            return
        name = self.agree(f".shared-{uuid.uuid4().hex}")
        if self.is_first:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / name).touch()
        self.agree(None)
        seen = self.gather((directory / name).exists())
        if self.is_first:
            (directory / name).unlink()
        if not all(seen):
            raise LingoLiteError(
                f"process {seen.index(False)} does not see the directory of process 0: {directory}",
                hint="put the project where all machines see it, or name such a place with --cache DIR",
            )


def join_processes(device: str) -> Processes:
    """The processes that torchrun started, joined until they end; or this one alone.

    They are joined once, however many trainings there are: torchrun's store keeps the addresses of the first group, and
    a second one that reads them waits for ever.

    Raises:
        LingoLiteError: an earlier training joined them on another kind of device.
    """
    if num_processes() == 1:
        return Processes()
    backend = "nccl" if device.startswith("cuda") else "gloo"
    if not distributed.is_initialized():
        if backend == "nccl":
            torch.cuda.set_device(local_device(device))
        distributed.init_process_group(backend)
        atexit.register(distributed.destroy_process_group)
    if distributed.get_backend() != backend:
        raise LingoLiteError(
            f"several processes cannot train on {device} after a training on another kind of device",
            hint="give all steps that train the same device",
        )
    return Processes(rank(), num_processes())


def local_device(device: str) -> str:
    """`cuda` as the GPU of this process; any other as it is."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" and num_processes() > 1 else device
