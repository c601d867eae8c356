"""Devices by name, refused when this machine has none of them."""

from __future__ import annotations

import torch

from lingolite_cli.errors import LingoLiteError, did_you_mean


def find_device(name: str) -> torch.device:
    """The device called `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        LingoLiteError: it is no such name, or not on this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise _unknown(name) from None
    if device.type == "cpu":
        return device
    if device.type == "cuda":
        _check_present(name, num_devices=torch.cuda.device_count(), index=device.index or 0)
        return device
    if device.type == "mps":
        _check_present(name, num_devices=int(torch.backends.mps.is_available()), index=device.index or 0)
        return device
    raise _unknown(name)


def _check_present(name: str, *, num_devices: int, index: int) -> None:
    if index >= num_devices:
        raise LingoLiteError(
            f"the device `{name}` is not available: this PyTorch sees {num_devices} of its kind",
            hint="pass --device cpu, or install a PyTorch built for the device",
        )


def _unknown(name: str) -> LingoLiteError:
    return LingoLiteError(f"unknown device `{name}`", hint=did_you_mean(name, ("cpu", "cuda", "mps")))
