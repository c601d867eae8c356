"""How programs compute, for the question whether a file is what was exported."""

from __future__ import annotations

from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_coreml.details import CoreMLDetails


def arithmetic_of(details: CoreMLDetails) -> Arithmetic:
    """In float32 or float16 throughout, over the floats that integers stand for."""
    is_weight_only = details.activations == "weight-only"
    name = f"{details.compute} over {details.weights} weights" if is_weight_only else details.compute
    if details.compute == "float32":
        return Arithmetic(name=name, is_weight_only=is_weight_only, rounding=1e-4, kl_max=1e-6, parity_min=0.9999)
    # An operation rounds its outcome to 11 bits, and what lies inside of a norm or an attention as well. Seen: on the
    # starter model an operation 0.002, mean KL 2e-6; with random weights of every family an operation 0.019, where
    # terms cancel, and KL 4e-4.
    return Arithmetic(name=name, is_weight_only=is_weight_only, rounding=2e-2, kl_max=1e-3, parity_min=0.99)
