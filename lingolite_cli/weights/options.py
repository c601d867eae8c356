"""Options of static int8 quantization: how ranges are chosen and on how much text.

Owns the struct alone, because lists of plugins and checks of recipes read it without numpy or PyTorch. The method is
`lingolite_cli.model.static_quantization`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DEFAULT_PERCENTILE = 99.999


class StaticInt8Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How activations get their ranges.

    Attributes:
        ranges: `min-max` is all that was seen while calibrating; `percentile` cuts off outliers, as much above as
            below; `entropy` keeps the magnitudes that lose the least information, as TensorRT does.
        percentile: how much `percentile` keeps, in per cent; 99.999 where nothing is said.
        smoothing: how much of the unevenness of the channels inside a feed-forward network is moved into its weights
            beforehand, from 0 (none) to 1 (all). SwiGLU makes outliers there, and one range that holds them is too
            coarse for all else.
        max_samples: only the first so many sentences of the calibration text.
    """

    ranges: Literal["min-max", "percentile", "entropy"] = "percentile"
    percentile: Annotated[float, Meta(gt=50, lt=100)] | None = None
    smoothing: Annotated[float, Meta(ge=0, le=1)] = 0.65
    max_samples: Annotated[int, Meta(ge=1)] = 200

    def __post_init__(self) -> None:
        if self.percentile is not None and self.ranges != "percentile":
            raise ValueError(f'percentile goes with ranges = "percentile", not "{self.ranges}"')
