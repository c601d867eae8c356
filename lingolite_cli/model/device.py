"""Devices of PyTorch by name, refused when this machine has none of them."""

from __future__ import annotations

import torch

from lingolite_cli.errors import LingoLiteError, did_you_mean


def find_device(name: str, *, hint: str) -> torch.device:
    """The device called `cpu`, `cuda`, `cuda:N` or `mps`.

    Args:
        name: its name.
        hint: how to choose another one, where this machine has no such device.

    Raises:
        LingoLiteError: the name is unknown, or this machine has no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise _unknown(name) from None
    index = device.index or 0
    known = {
        "cpu": index + 1,  # PyTorch takes any index of a CPU
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if device.type not in known:
        raise _unknown(name)
    num_devices = known[device.type]
    if index >= num_devices:
        raise LingoLiteError(
            f"the device `{name}` is not available: this PyTorch sees {num_devices} of its kind", hint=hint
        )
    return device


def _unknown(name: str) -> LingoLiteError:
    return LingoLiteError(f"unknown device `{name}`", hint=did_you_mean(name, ("cpu", "cuda", "mps")))
