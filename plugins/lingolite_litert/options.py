"""Options of the LiteRT exporter and backend, and the name of the format; cheap to import."""

from __future__ import annotations

from typing import Literal

import msgspec

FORMAT = "litert"


class LitertExportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the file is written.

    Attributes:
        activations: how activations meet int8 matrices. `symmetric`: by row with zero point 0, as the bundle was
            quantized for; each row gets two further values that make XNNPACK do so. `runtime`: as the runtime does by
            itself; by row with a zero point of its own in XNNPACK. About 5 % faster, and further from the bundle. No
            effect on float bundles.
        shapes: `dynamic`: sources, pasts and batches of any size. `buckets`: a pair of signatures for each of a few
            lengths, with fixed shapes and one row, for the delegates of GPUs and NPUs, which take no others. The
            weights are stored once all the same, but XNNPACK holds a copy for each.
    """

    activations: Literal["symmetric", "runtime"] = "symmetric"
    shapes: Literal["dynamic", "buckets"] = "dynamic"


class LitertOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a file is run.

    Attributes:
        delegate: what computes the graph. `xnnpack` is what the runtime takes by default. `none`: the runtime's own
            operators, several times slower; what a runtime that was built without XNNPACK does.
    """

    delegate: Literal["xnnpack", "none"] = "xnnpack"
