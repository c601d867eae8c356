"""How a file computes with the bundle's numbers, as `verify` is told.

Owns the limits. They are what XNNPACK's roundings leave of unharmed files.
"""

from __future__ import annotations

from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_litert.details import LitertDetails
from lingolite_litert.options import LitertOptions


def arithmetic_of(details: LitertDetails, options: LitertOptions) -> Arithmetic:
    """The arithmetic of a file with the options of the backend."""
    if details.activations == "float32":
        return Arithmetic(name="float32", rounding=1e-3, kl_max=1e-6, parity_min=0.9999)
    return Arithmetic(name="int8, activations rounded by row", rounding=0.01, kl_max=1e-3, parity_min=0.99)
