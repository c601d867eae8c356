"""Runs the encoder of the ORT profile over a batch, in chunks of sentences of like length.

Owns the memory that the encoder writes into; what the decoders read of it is bound by `lingolite_onnx.ort.binding`.
B batch, S source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime as ort

from lingolite_cli.arrays import Array
from lingolite_onnx.ort.binding import over_memory

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray

CHUNK_TOKENS = 256
"""Source tokens, padding included, that are encoded together: enough for products to be as fast as they get, and few
enough that their activations need little memory. With it the peak of the preset `small` at batch 32 fell from 335 to
260 MB; below 100 tokens encoding takes 10 % to 40 % longer."""


class Chunk(msgspec.Struct, frozen=True):
    """Rows [R] of a batch of sources that are encoded together, and the length of the longest."""

    rows: IntArray
    length: int


class SourceEncoder:
    """The encoder's session, and how a batch is cut for it.

    Args:
        session: of the encoder.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._shapes = {argument.name: argument.shape for argument in session.get_outputs()}

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> dict[str, Array]:
        """The encoder's outputs by name, each with B as its first axis, from contiguous ids and mask [B, S]."""
        outputs = self._empty(*source_ids.shape)
        chunks = chunks_of(source_mask)
        if len(chunks) == 1:
            self._run(source_ids, source_mask, outputs)
        else:
            self._run_chunks(chunks, source_ids, source_mask, outputs)
        return outputs

    def _run_chunks(
        self, chunks: Sequence[Chunk], source_ids: IntArray, source_mask: BoolArray, outputs: Mapping[str, Array]
    ) -> None:
        for chunk in chunks:
            part = self._empty(len(chunk.rows), chunk.length)
            cut = chunk.rows, slice(chunk.length)
            self._run(source_ids[cut], source_mask[cut], part)
            for name, array in outputs.items():
                _, _, height, width = part[name].shape
                array[chunk.rows, :, :height, :width] = part[name]

    def _run(self, source_ids: IntArray, source_mask: BoolArray, outputs: Mapping[str, Array]) -> None:
        binding = self._session.io_binding()
        binding.bind_cpu_input("source_ids", source_ids)
        binding.bind_cpu_input("source_mask", source_mask)
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, over_memory(array))
        self._session.run_with_iobinding(binding)

    def _empty(self, rows: int, length: int) -> dict[str, Array]:
        """Room for the outputs, as for sources of nothing but padding: a chunk fills in only its own length."""
        sizes: dict[int | str, int] = {"batch": rows, "source": length}
        arrays = {
            name: np.zeros([sizes.get(size, size) for size in shape], np.float32)
            for name, shape in self._shapes.items()
        }
        arrays["source_bias"].fill(-np.inf)  # beyond a chunk's length all is padding
        return arrays


def chunks_of(source_mask: BoolArray) -> list[Chunk]:
    """All rows of source_mask [B, S], those of like length together; as they are where one chunk has room for them."""
    rows, length = source_mask.shape
    if not rows:
        return []
    if rows * length <= CHUNK_TOKENS:
        return [Chunk(np.arange(rows), length)]
    lengths = np.maximum(source_mask.sum(axis=1), 1)
    chunks: list[Chunk] = []
    waiting = np.argsort(-lengths, kind="stable")
    while len(waiting):
        longest = int(lengths[waiting[0]])
        taken = max(1, CHUNK_TOKENS // longest)
        chunks.append(Chunk(waiting[:taken], longest))
        waiting = waiting[taken:]
    return chunks
