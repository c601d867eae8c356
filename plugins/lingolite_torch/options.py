"""Options of the PyTorch backends."""

from __future__ import annotations

import msgspec


class TorchOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where PyTorch runs.

    Attributes:
        device: `cpu`, `cuda`, `cuda:N` or `mps`.
    """

    device: str = "cpu"
