"""What is minimized and how: the loss, the learning rate of each step, and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lingolite_cli.architecture.tensors import tensor_specs
from lingolite_cli.environment import cpu_features
from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.training.options import TrainingOptions


def cross_entropy(logits: Tensor, labels: Tensor, *, pad_id: int, label_smoothing: float = 0.0) -> Tensor:
    """Sum over the real labels of the cross-entropy, in nats, with label smoothing (Szegedy et al. 2016, section 7).

    Each label has probability 1 - ε + ε / V, every other token ε / V.

    Args:
        logits: [B, T, V].
        labels: [B, T] int64.
        pad_id: the label that is padding and counts nothing.
        label_smoothing: ε.

    Returns:
        a scalar; divide it by the number of real labels for the mean per token.
    """
    return F.cross_entropy(
        logits.float().flatten(0, 1),
        labels.flatten(),
        ignore_index=pad_id,
        label_smoothing=label_smoothing,
        reduction="sum",
    )


def learning_rate(step: int, options: TrainingOptions) -> float:
    """The learning rate of a step, counted from 1.

    Linear warm-up, then constant, or falling as 1 / sqrt(step) (Vaswani et al. 2017, eq. 3, scaled so that it meets
    the highest rate where the warm-up ends), or as half a cosine down to 0 at `max_steps`.
    """
    highest, warmup = options.learning_rate, options.warmup_steps
    if step < warmup:
        return highest * step / warmup
    if options.schedule == "inverse-sqrt":
        return highest * math.sqrt(warmup / step)
    if options.schedule == "cosine":
        assert options.max_steps is not None, "checked with the options"
        done = min((step - warmup) / (options.max_steps - warmup), 1.0)
        return highest * 0.5 * (1.0 + math.cos(math.pi * done))
    return highest


def make_optimizer(model: MobileTranslationModel, options: TrainingOptions) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) that decays matrices, but neither norms nor embeddings."""
    decaying = {spec.key for spec in tensor_specs(model.config) if spec.is_matrix and not spec.has_vocabulary}
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (decayed if name in decaying else others).append(parameter)
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.betas)


def uses_bfloat16(options: TrainingOptions, device: torch.device) -> bool:
    """Whether to compute under autocast to bfloat16."""
    if options.precision != "auto":
        return options.precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(cpu_features()))


@contextmanager
def reduced_precision(device: torch.device, *, is_bfloat16: bool) -> Iterator[None]:
    """Autocast to bfloat16 as long as the block lasts, if `is_bfloat16`.

    On the CPU, attention is then computed as plain products: the fused kernel's backward pass in bfloat16 is so slow
    that a whole step on short sentences took 1.23 times as long (2.09 s against 1.70 s, PyTorch 2.13 on Zen 4).
    """
    with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
        if is_bfloat16 and device.type == "cpu":
            with sdpa_kernel(SDPBackend.MATH):
                yield
        else:
            yield
