"""Several processes that train one model, started by torchrun: what they are, and what they tell one another.

Each computes the gradient of its share of a step's batches; the sum over all of them is that of the whole step.
Process 0 alone writes files, scores the dev text and decides. With one process nothing is sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed

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


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes that torchrun started, joined as long as the block lasts; or this one alone."""
    if num_processes() == 1:
        yield Processes()
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(local_device(device))
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Processes(rank(), num_processes())
    finally:
        distributed.destroy_process_group()


def local_device(device: str) -> str:
    """`cuda` as the GPU of this process; any other as it is."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" and num_processes() > 1 else device
