"""How does this runtime round the activations that int8 matrices meet?

With XNNPACK each row has a zero point, without it there is none, and a file is written for one of the two. Nothing but
the numbers tells which runs: a build may lack XNNPACK, or XNNPACK may refuse the operator. Owns a probe that finds out
by computing.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Literal, TypeAlias

import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import quantize_asymmetric, quantize_dynamic
from lingolite_litert.details import LitertDetails
from lingolite_litert.opening import open_interpreter

PROBE, INPUT, OUTPUT, WIDTH, ROWS = "probe", "x", "y", 24, 5
MODEL = "probe.tflite"

Found: TypeAlias = Literal["per-row asymmetric", "per-row symmetric", "unknown"]

_TOLERANCE = 1e-5
"""Of the largest product. The two arithmetics are a hundred times as far apart."""


@lru_cache
def rounding_of(delegate: str) -> Found:
    """How activations are rounded here.

    Args:
        delegate: as in `LitertOptions`.
    """
    x, (values, scale) = probe_input(), probe_matrix()
    interpreter = open_interpreter(files("lingolite_litert").joinpath(MODEL).read_bytes(), delegate=delegate, threads=1)
    found = interpreter.get_signature_runner(PROBE)(**{INPUT: x})[OUTPUT]
    candidates: tuple[tuple[Found, tuple[Array, Array]], ...] = (
        ("per-row asymmetric", quantize_asymmetric(x)),
        ("per-row symmetric", quantize_dynamic(x)),
    )
    for name, (integers, step) in candidates:
        expected = (integers.astype(np.float64) @ values.astype(np.float64).T) * step * scale
        if np.abs(found - expected).max() <= _TOLERANCE * np.abs(expected).max():
            return name
    return "unknown"


def diagnosis() -> str:
    """What this machine does to int8 files, in a sentence."""
    if rounding_of("xnnpack") == "per-row asymmetric":
        return (
            "LiteRT runs int8 products in XNNPACK here, for which files are written, so int8 files can be measured here"
        )
    return _COARSER if rounding_of("xnnpack") == "per-row symmetric" else _UNKNOWN


def warnings_of(details: LitertDetails, delegate: str) -> list[str]:
    """What users must know before they trust the results of a file on this machine."""
    if details.activations == "float32":
        return []
    found = rounding_of(delegate)
    if found == "unknown":
        return [_UNKNOWN]
    if found == "per-row asymmetric":
        return []
    return [_COARSER if details.activations == "per-row symmetric" else _SLOWER]


_UNKNOWN = (
    "this LiteRT rounds the activations of int8 models in a way that LingoLite does not know: translations may differ "
    "from those on other devices. Update it: pip install --upgrade ai-edge-litert"
)
_COARSER = (
    "XNNPACK does not run here, and int8 files are written for it: activations are rounded 1/127 coarser than the "
    "bundle was quantized for, some translations differ, and each takes several times as long. Leave out "
    "delegate=none, use a LiteRT that has XNNPACK, or export with --option activations=runtime"
)
_SLOWER = (
    "XNNPACK does not run here: activations are rounded as for the bundle, and translations take several times as long"
)


def probe_input() -> Array:
    """[ROWS, WIDTH] float32: rows that do not lie symmetrically around 0."""
    x: Array = np.sin(np.arange(ROWS * WIDTH, dtype=np.float64) * 0.7).reshape(ROWS, WIDTH).astype(np.float32)
    return x + np.float32(0.5)


def probe_matrix() -> tuple[Array, Array]:
    """[8, WIDTH] int8, and a scale for each of its rows."""
    values = (np.arange(8 * WIDTH) * 37 % 255 - 127).astype(np.int8).reshape(8, WIDTH)
    return values, (np.float32(0.01) * (1 + np.arange(8, dtype=np.float32))).astype(np.float32)
