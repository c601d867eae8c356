"""Where a batch stands, and what every runner does with that: rows chosen, caches grown, sources encoded row by row.

Owns the arrays that the host keeps between steps. R rows, S source, P past, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
import numpy as np

from lingolite_cli.architecture.network import decoder_state, source_state
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_litert.interface import MASKED, SOURCE_MASK

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.arrays import Array, BoolArray, FloatArray, IntArray


T = TypeVar("T")
Read: TypeAlias = Callable[["FloatArray", "FloatArray"], T]
"""What a step is to return, from logits [R, V] and the logarithms [R, 1] of the sums of their exponentials. Both may
lie in the engine, so that it copies what it keeps."""


class LitertState(msgspec.Struct):
    """Where a batch of R rows stands.

    Attributes:
        sources: [R] int64, which source each row has; rows with equal numbers have equal cross-attention.
        source: arrays by input name that stay as they are: the mask and the cross-attention.
        past: arrays by input name: keys and values [R, K, P, D] of which `position` are filled, or cells [R, width].
        position: target tokens read so far.
        num_synced: positions of `past` that the arrays have; a runner may hold those that follow.
    """

    sources: IntArray
    source: dict[str, Array]
    past: dict[str, Array]
    position: int
    num_synced: int = 0


def selected(state: LitertState, rows: IntArray) -> LitertState:
    """A state of the given rows. Beams that change places within a sentence leave its cross-attention alone."""
    sources, source = state.sources[rows], state.source
    if not np.array_equal(sources, state.sources):
        source = {name: array[rows] for name, array in source.items()}
    past = {name: array[rows] for name, array in state.past.items()}
    return LitertState(sources, source, past, state.position, state.num_synced)


def encoded_rows(
    config: Architecture,
    source_ids: IntArray,
    source_mask: BoolArray,
    encode: Callable[[IntArray], Mapping[str, Array]],
    *,
    length: int,
) -> dict[str, Array]:
    """The mask [R, 1, 1, length] and the cross-attention [R, K, length, D] of sources [R, S], encoded one by one.

    Args:
        config: the architecture of the model.
        source_ids: padded on the right.
        source_mask: True on real tokens.
        encode: gives cross-attention [1, K, at least n, D] by name, from ids [n] without padding.
        length: at least S.
    """
    rows = len(source_ids)
    source = {
        f"cross_{kept.name}": np.zeros((rows, kept.heads, length, kept.width), np.float32)
        for kept in source_state(config)
    }
    for row, (ids, mask) in enumerate(zip(source_ids, source_mask, strict=True)):
        known, found = ids[mask], encode(ids[mask])
        for name, array in source.items():
            array[row, :, : len(known)] = found[name][0, :, : len(known)]
    hidden = np.full((rows, 1, 1, length), MASKED, np.float32)
    hidden[:, 0, 0, : source_mask.shape[1]][source_mask] = 0
    return {SOURCE_MASK: hidden, **source}


def empty_past(config: Architecture, rows: int, capacity: int) -> dict[str, Array]:
    """Room for `capacity` positions, and cells that are 0."""
    return {
        f"past_{kept.name}": np.zeros(
            (rows, kept.width) if kept.kind == "cell" else (rows, kept.heads, capacity, kept.width), np.float32
        )
        for kept in decoder_state(config)
    }


def grown(array: Array, positions: int) -> Array:
    """Keys or values [R, K, P, D] with room for more positions; a cell as it is."""
    if array.ndim == 2:
        return array
    return np.pad(array, ((0, 0), (0, 0), (0, positions), (0, 0)))


def run(call: Callable[..., Any], **inputs: Array) -> Any:
    """What a call of the runtime returns.

    Raises:
        LingoLiteError: the runtime failed.
    """
    try:
        return call(**inputs)
    except (RuntimeError, ValueError) as error:
        raise LingoLiteError(
            f"LiteRT cannot run the graph: {' '.join(str(error).split())}",
            hint="export the bundle again, or try another backend: `lingolite plugins list`",
            exit_code=ExitCode.PLUGIN,
        ) from None


def position_error(what: str, max_seq_len: int) -> LingoLiteError:
    """For `what` lies beyond the tables of positions."""
    return LingoLiteError(
        f"{what} lies beyond the {max_seq_len} positions of the model", hint="shorten the source, or lower --max-length"
    )
