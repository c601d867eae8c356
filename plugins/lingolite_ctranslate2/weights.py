"""What CTranslate2 can carry of a bundle's weights: matrices that are all of one kind.

Owns the refusal of the others. Reading is `lingolite_cli.weights.bundle`'s. Imports neither torch nor CTranslate2.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from lingolite_cli.architecture.tensors import tensor_specs
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.bundle import Weights

Kind: TypeAlias = Literal["float32", "float16", "bfloat16", "int8"]

_KINDS: dict[str, Kind] = {"float32": "float32", "float16": "float16", "bfloat16": "bfloat16", "int8": "int8"}


def kind_of(weights: Weights) -> Kind:
    """What all matrices are stored in.

    CTranslate2 computes all matrices of a model in one type, and would quantize a matrix that was kept in float.

    Raises:
        LingoLiteError: they are of several types, or of one that CTranslate2 has no place for.
    """
    found: dict[str, str] = {}
    # One example of each dtype is enough to name in a refusal.
    for spec in tensor_specs(weights.config):
        if spec.is_matrix:
            found.setdefault(weights.stored(spec.name).dtype.name, spec.key)
    unknown = [f"{key} is {dtype}" for dtype, key in found.items() if dtype not in _KINDS]
    if unknown:
        raise LingoLiteError(unknown[0], hint="float32, float16, bfloat16 and int8 can be exported")
    if len(found) != 1:
        kinds = " and ".join(f"{key} in {dtype}" for dtype, key in found.items())
        raise LingoLiteError(
            f"the bundle has matrices of different types, {kinds}, and CTranslate2 computes all of them in one",
            hint="quantize all matrices, or none",
        )
    return _KINDS[next(iter(found))]
