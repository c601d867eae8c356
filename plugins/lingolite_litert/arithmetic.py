"""How a file computes with the bundle's numbers, as `verify` is told.

Owns the limits. They are what XNNPACK's roundings leave of unharmed files.
"""

from __future__ import annotations

from lingolite_cli.architecture.arithmetic import FLOAT32_ERROR, Arithmetic
from lingolite_litert.details import LitertDetails
from lingolite_litert.options import LitertOptions


def arithmetic_of(details: LitertDetails, options: LitertOptions) -> Arithmetic:
    """The arithmetic of a file with the options of the backend.

    Args:
        details: what the manifest says of the file.
        options: those that it is run with.
    """
    if details.activations == "float32":
        return Arithmetic(name="float32", rounding=1e-4, kl_max=1e-6, parity_min=0.9999)
    is_symmetric, has_delegate = details.activations == "per-row symmetric", options.delegate == "xnnpack"
    if is_symmetric and not has_delegate:
        # Without the delegate the added columns make scales larger by 1/127: no reference computes so.
        return Arithmetic(
            name="int8, activations rounded by row",
            rounding=0.01,
            kl_max=1e-3,
            quotient_error=FLOAT32_ERROR,
            parity_min=0.99,
            options={"delegate": "xnnpack"},
            excluded=(
                "the runtime's own operators, which round activations coarser: the file was compared in XNNPACK",
            ),
        )
    has_zero_points = not is_symmetric and has_delegate
    name = "int8, activations rounded by row" + (" with zero points" if has_zero_points else "")
    return Arithmetic(
        name=name,
        has_zero_points=has_zero_points,
        rounding=0.01,
        kl_max=1e-3,
        quotient_error=FLOAT32_ERROR,
        parity_min=0.99,
    )
