"""The quantizer `mixed`: weights of 4 or 8 bits or floats, matrix by matrix; arithmetic stays in float32.

Owns which matrix has which precision. The integers are those of `lingolite_cli.weights.groups`, so a matrix has
the same ones here as by `int4`.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lingolite_cli.architecture.parts import WEIGHT_SUFFIX
from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, Artifact, Product, Quantization
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.weights.bundle import read_tensors, require_format, write_tensors
from lingolite_quantizers.groups import round_by_groups
from lingolite_quantizers.options import MixedOptions, Precision
from lingolite_quantizers.storage import narrow

_WILDCARDS = "*?[]"
_BITS = {"int4": 4, "int8": 8}
_TOO_LARGE = "choose int8, int4 or fp32 for this matrix"


class Mixed:
    """Gives each matrix of a bundle the precision that the options say; norms stay in float32."""

    def __init__(self, *, options: MixedOptions) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path) -> Product:
        """Write the weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float bundle; a pattern matches no matrix, or two that are equally
                specific say different things; the group size does not divide the rows of a matrix in 4 bits; or a
                weight is not finite or does not fit into its precision.
        """
        require_format(source, (BUNDLE, BUNDLE_FP16, BUNDLE_BF16))
        tensors = read_tensors(source)
        known = frozenset(matrix_keys(source.manifest.model))
        matrices = [name.removesuffix(WEIGHT_SUFFIX) for name in tensors if name in known]
        precisions = assign(matrices, self.options)
        stored: dict[str, npt.NDArray[Any]] = {}
        for name, tensor in tensors.items():
            floats = tensor.astype(np.float32)
            # None for norms and biases, which no pattern can name.
            precision = precisions.get(name.removesuffix(WEIGHT_SUFFIX))
            stored |= {name: floats} if precision is None else self._stored(name, floats, precision)
        write_tensors(stored, directory)
        quantization = Quantization(
            "mixed",
            float_tensors=_named(precisions, "fp16", "fp32"),
            int8_tensors=_named(precisions, "int8"),
        )
        return Product(format=BUNDLE_INT4, quantization=quantization, details={"precisions": precisions})

    def _stored(self, name: str, matrix: npt.NDArray[np.float32], precision: Precision) -> dict[str, npt.NDArray[Any]]:
        """What the bundle holds for a matrix."""
        if precision in _BITS:
            return round_by_groups(name, matrix, bits=_BITS[precision], options=self.options).tensors(name)
        dtype = np.float16 if precision == "fp16" else np.float32
        return {name: narrow(name, matrix, dtype, hint=_TOO_LARGE)}


def assign(matrices: Iterable[str], options: MixedOptions) -> dict[str, Precision]:
    """The precision of each matrix.

    The most specific pattern decides, whatever the order in which patterns stand: a table in TOML or JSON has none.

    Args:
        matrices: names without `.weight`.
        options: their `default` and `layers`.

    Raises:
        LingoLiteError: a pattern matches none of them, or two that are equally specific say different things of one.
    """
    names = list(matrices)
    for pattern in options.layers:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise LingoLiteError(
                f"the pattern `{pattern}` of `layers` matches no matrix", hint=did_you_mean(pattern, _nearby(names))
            )
    return {name: _precision(name, options) for name in names}


def _precision(name: str, options: MixedOptions) -> Precision:
    matching = [pattern for pattern in options.layers if fnmatchcase(name, pattern)]
    if not matching:
        return options.default
    most = max(map(_specificity, matching))
    deciding = [pattern for pattern in matching if _specificity(pattern) == most]
    # Equally specific patterns that agree are no contradiction.
    if len({options.layers[pattern] for pattern in deciding}) > 1:
        said = " and ".join(f"`{pattern}` = {options.layers[pattern]}" for pattern in deciding)
        raise LingoLiteError(
            f"{said} are equally specific and contradict each other on `{name}`",
            hint=f'add the matrix itself: "{name}" = "{options.layers[deciding[0]]}"',
        )
    return options.layers[deciding[0]]


def _specificity(pattern: str) -> int:
    return sum(character not in _WILDCARDS for character in pattern)


def _nearby(names: Iterable[str]) -> set[str]:
    """What a pattern may have been meant to be: each matrix, and each part of the model that holds some."""
    found = set(names)
    for name in list(found):
        parts = name.split(".")
        found |= {".".join([*parts[:length], "*"]) for length in range(1, len(parts))}
    return found


def _named(precisions: dict[str, Precision], *wanted: str) -> tuple[str, ...]:
    return tuple(name + WEIGHT_SUFFIX for name, precision in precisions.items() if precision in wanted)
