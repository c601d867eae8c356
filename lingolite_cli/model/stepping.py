"""A model in memory as a backend: what searches that belong to no plugin decode with.

Owns the way between a search's arrays and the network, on whatever device the model is. The backends that users choose
among are plugins. B batch, S source length, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from torch import Tensor

from lingolite_cli.model.cache import LayerCache

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.model.translation_model import MobileTranslationModel


class DecodingState(msgspec.Struct):
    """Where a batch stands; `layers` from the first step on."""

    encoder_output: Tensor
    src_attention_mask: Tensor
    layers: list[LayerCache] | None = None


class SteppingModel:
    """A backend (`lingolite_cli.plugins.interfaces`) with a KV cache.

    Args:
        model: in eval mode.
    """

    def __init__(self, model: MobileTranslationModel) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> DecodingState:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        mask = self._tensor(source_mask)
        return DecodingState(self._model.encoder(self._tensor(source_ids), mask), mask)

    @torch.inference_mode()
    def step(self, state: DecodingState, tokens: IntArray) -> FloatArray:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        logits, state.layers = self._model.decoder(
            self._tensor(tokens)[:, None],
            state.encoder_output,
            state.src_attention_mask,
            past_key_values=state.layers,
            use_cache=True,
        )
        array: FloatArray = logits[:, -1].cpu().numpy()
        return array

    @torch.inference_mode()
    def select(self, state: DecodingState, rows: IntArray) -> DecodingState:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        index = self._tensor(rows)
        layers = state.layers and [layer.select(index) for layer in state.layers]
        return DecodingState(state.encoder_output[index], state.src_attention_mask[index], layers)

    def close(self) -> None:
        """Nothing is held."""

    def _tensor(self, array: IntArray | BoolArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
