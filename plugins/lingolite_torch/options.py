"""Options of the PyTorch backends, and of a quantizer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class TorchOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where PyTorch runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
    """

    device: str = "cpu"


class GptqInt4Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How weights become 4-bit integers.

    Attributes:
        group_size: neighbours in a row that share a scale, as of `int4`.
        embedding_bits: 4 or 8, of the embeddings and the output projection, which are rounded to the nearest.
        damping: share of the mean diagonal that is added to the moments of the inputs.
        max_samples: only the first so many sentences of the calibration text.
    """

    group_size: Literal[16, 32, 64, 128] = 32
    embedding_bits: Literal[4, 8] = 4
    damping: Annotated[float, Meta(gt=0, le=1)] = 0.01
    max_samples: Annotated[int, Meta(ge=1)] = 200
