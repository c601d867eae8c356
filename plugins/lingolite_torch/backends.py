"""The backends `eager`, `cached` and `int8`: one network, with and without a KV cache.

Own the way between the host's arrays and tensors, and the decoding states. The network is
`lingolite_cli.model`'s. B batch, S source length, V vocabulary, R selected rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT4,
    BUNDLE_INT8,
    BUNDLE_STATIC_INT8,
    Artifact,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import LayerCache, load_model
from lingolite_cli.model.device import find_device
from lingolite_cli.model.int8 import is_int_mm_exact
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_torch.options import TorchOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray


class _TorchBackend:
    """What the backends share: the model, its device, and reading a batch of sources."""

    accepts: tuple[str, ...] = (BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT4)

    def __init__(self, artifact: Artifact, *, options: TorchOptions, threads: int) -> None:
        if artifact.manifest.format not in self.accepts:
            raise LingoLiteError(
                f"{artifact.path} has the format {artifact.manifest.format}, not {' or '.join(self.accepts)}",
                hint="choose a backend for this format with `lingolite plugins list`",
            )
        self.warnings: list[str] = []
        self._start = artifact.manifest.tokenizer_description.ids.start
        self._device = find_device(options.device, hint="pass --device cpu, or install a PyTorch built for the device")
        torch.set_num_threads(threads)
        # One thread needs no pool, and then a fork works.
        self._home = HomeProcess("a PyTorch backend of several threads") if threads > 1 else None
        # Moving parameters to a device makes copies, and would part those that are tied: hence `tie_weights` after it.
        self._model = load_model(artifact).to(self._device)
        self._model.tie_weights()

    def close(self) -> None:
        """Free the model."""
        del self._model

    @torch.inference_mode()
    def score(self, source_ids: IntArray, source_mask: BoolArray, target_ids: IntArray) -> FloatArray:
        """See `lingolite_cli.plugins.interfaces.ScoringBackend`."""
        encoder_output, mask = self._encode(source_ids, source_mask)
        targets = self._tensor(target_ids)
        # Teacher forcing: the decoder reads the start token and all targets but the last.
        shifted = torch.cat((torch.full_like(targets[:, :1], self._start), targets[:, :-1]), dim=1)
        logits, _ = self._model.decoder(shifted, encoder_output, mask)
        rows = logits.gather(2, targets[..., None])[..., 0] - logits.logsumexp(dim=2)
        return _array(rows)

    def _encode(self, source_ids: IntArray, source_mask: BoolArray) -> tuple[Tensor, Tensor | None]:
        """[B, S, d_model], and the mask; None when all tokens are real, which saves masking at each step."""
        mask = None if source_mask.all() else self._tensor(source_mask)
        return self._model.encoder(self._tensor(source_ids), mask), mask

    def _tensor(self, array: IntArray | BoolArray) -> Tensor:
        """What the host gave, on the device. Every call comes by here before it computes."""
        if self._home is not None:
            self._home.require()
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


@dataclass
class _Prefix:
    """State of `eager`: `ids` [B, T] are the target tokens read so far."""

    encoder_output: Tensor
    source_mask: Tensor | None
    ids: Tensor


class EagerBackend(_TorchBackend):
    """Reads the whole target prefix at each step. Slow; nothing in it can go stale."""

    @torch.inference_mode()
    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> _Prefix:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        encoder_output, mask = self._encode(source_ids, source_mask)
        ids = torch.empty((len(source_ids), 0), dtype=torch.int64, device=self._device)
        return _Prefix(encoder_output, mask, ids)

    @torch.inference_mode()
    def step(self, state: _Prefix, tokens: IntArray) -> FloatArray:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        state.ids = torch.cat((state.ids, self._tensor(tokens)[:, None]), dim=1)
        logits, _ = self._model.decoder(state.ids, state.encoder_output, state.source_mask)
        return _array(logits[:, -1])

    @torch.inference_mode()
    def select(self, state: _Prefix, rows: IntArray) -> _Prefix:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        index = self._tensor(rows)
        mask = None if state.source_mask is None else state.source_mask[index]
        return _Prefix(state.encoder_output[index], mask, state.ids[index])


@dataclass
class _Caches:
    """State of `cached`.

    Attributes:
        encoder_output: until the first step, which turns it into the cross-attention caches.
        source_mask: [B, S], or None when all tokens are real.
        layers: one cache a layer, from the first step on.
        sources: [B], the sentence that each row translates; rows of one sentence share its cross-attention.
    """

    encoder_output: Tensor | None
    source_mask: Tensor | None
    layers: list[LayerCache] | None
    sources: IntArray


class CachedBackend(_TorchBackend):
    """Reads one token a step and keeps keys and values of the ones before."""

    def __init__(self, artifact: Artifact, *, options: TorchOptions, threads: int) -> None:
        super().__init__(artifact, options=options, threads=threads)
        _store_transposed(self._model)

    @torch.inference_mode()
    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> _Caches:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        encoder_output, mask = self._encode(source_ids, source_mask)
        return _Caches(encoder_output, mask, None, np.arange(len(source_ids)))

    @torch.inference_mode()
    def step(self, state: _Caches, tokens: IntArray) -> FloatArray:
        """See `lingolite_cli.plugins.interfaces.Backend`."""
        logits, state.layers = self._model.decoder(
            self._tensor(tokens)[:, None],
            state.encoder_output,
            state.source_mask,
            past_key_values=state.layers,
            use_cache=True,
        )
        # Freed: from here on its keys and values are in the caches.
        state.encoder_output = None
        return _array(logits[:, -1])

    @torch.inference_mode()
    def select(self, state: _Caches, rows: IntArray) -> _Caches:
        """See `lingolite_cli.plugins.interfaces.Backend`.

        A beam search reorders hypotheses of the same sentence at each step; what belongs to the sentence then
        stays where it is.
        """
        index = self._tensor(rows)
        sources = state.sources[rows]
        moves = not np.array_equal(sources, state.sources)
        return _Caches(
            _pick(state.encoder_output, index) if moves else state.encoder_output,
            _pick(state.source_mask, index) if moves else state.source_mask,
            state.layers and [layer.select(index, with_source=moves) for layer in state.layers],
            sources,
        )


class Int8Backend(CachedBackend):
    """As `cached`, with the integers of a quantized bundle."""

    accepts = (BUNDLE_INT8, BUNDLE_STATIC_INT8)

    def __init__(self, artifact: Artifact, *, options: TorchOptions, threads: int) -> None:
        super().__init__(artifact, options=options, threads=threads)
        if self._device.type == "cpu" and not is_int_mm_exact():
            self.warnings.append(_INEXACT)

    @staticmethod
    def diagnose() -> list[str]:
        """What this machine does to int8 bundles, found out by computing."""
        return ["torch._int_mm is exact on this CPU" if is_int_mm_exact() else _INEXACT]


_INEXACT = (
    "the int8 kernel of PyTorch saturates on this CPU, so exact float32 sums take its place: "
    "the same results, but slower; a CPU with VNNI or dot-product instructions avoids it"
)


def _store_transposed(model: nn.Module) -> None:
    """Lay float matrices out by column: the same values, but a single row is multiplied in 0.7 of the time."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = module.weight.data.t().contiguous().t()


def _pick(tensor: Tensor | None, index: Tensor) -> Tensor | None:
    return None if tensor is None else tensor.index_select(0, index)


def _array(values: Tensor) -> FloatArray:
    array: FloatArray = values.cpu().numpy()
    return array
