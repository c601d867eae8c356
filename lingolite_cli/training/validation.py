"""The cross-entropy of a model on held-out pairs."""

from __future__ import annotations

import torch

from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.training.examples import Examples, epoch_batches
from lingolite_cli.training.optimization import cross_entropy


def mean_cross_entropy(model: MobileTranslationModel, examples: Examples, *, batch_tokens: int = 4096) -> float:
    """Mean over all target tokens, the end token included, in nats; without label smoothing and without dropout.

    Args:
        model: in eval mode.
        examples: the pairs.
        batch_tokens: as in training.
    """
    device = next(model.parameters()).device
    pad_id = examples.ids.pad
    total, num_tokens = 0.0, 0
    with torch.inference_mode():
        for indices in epoch_batches(examples, batch_tokens=batch_tokens, seed=0, epoch=0):
            batch = examples.batch(indices).to(device)
            total += cross_entropy(model(batch.source_ids, batch.decoder_ids), batch.labels, pad_id=pad_id).item()
            num_tokens += int((batch.labels != pad_id).sum())
    return total / num_tokens
