"""Options of the CTranslate2 backend and the name of its format; cheap to import."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FORMAT = "ctranslate2"


class CTranslate2Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is run.

    Attributes:
        compute_type: what matrices are multiplied in, in CTranslate2's words. `default` is int8 for the integers of a
            quantized bundle and float32 for all others. `int8` on a float model lets CTranslate2 quantize it while
            loading, with scales and roundings of its own.
        inter_threads: parts of a batch that are translated at the same time, over one copy of the weights. They share
            the threads that the host gives; CTranslate2's `intra_threads` is what falls to each of them.
    """

    compute_type: Literal["default", "float32", "int8", "int8_float32", "int16", "float16", "bfloat16"] = "default"
    inter_threads: Annotated[int, Meta(ge=1)] = 1
