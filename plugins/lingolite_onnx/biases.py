"""Biases of linear layers that are multiplied as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lingolite_cli.architecture.parts import Layer
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Weights


def joint_bias(weights: Weights, layers: Sequence[Layer]) -> Array | None:
    """[sum of out] float32, with zeros for a layer that has none among others; None where no layer has one."""
    if not any(layer.has_bias for layer in layers):
        return None
    parts = [weights.bias(layer.name) if layer.has_bias else np.zeros(layer.rows, np.float32) for layer in layers]
    return np.concatenate(parts)
