"""The tensors of a checkpoint one by one: which kinds are read, what wrappers do to their names, and what they claim.

Owns all that can be said of a tensor without knowing the model. What a checkpoint is made of is
`lingolite_cli.model.checkpoint`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lingolite_cli.errors import LingoLiteError

_WRAPPERS = frozenset({"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""What torch.compile, DataParallel, FSDP and activation checkpointing put into the names of what they wrap, in any
order and as often as they are applied. No parameter of the network has such a part in its name."""

_BLOCK = 1 << 20
"""Numbers that are looked at together: what is made of a whole embedding would be half of it in size."""
_DENSE = "load the model, and save its state_dict() with dense float tensors"


def unwrapped(state: Mapping[str, Tensor], *, where: Path) -> dict[str, Tensor]:
    """The same tensors under the names that they have in the network itself.

    Raises:
        LingoLiteError: two tensors have the same name then.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if plain in found:
            raise LingoLiteError(
                f"{where} has `{plain}` twice, once as `{name}`",
                hint="it holds two models; save the state_dict() of one",
            )
        found[plain] = tensor
    return found


def check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than the file holds: torch.save compresses nothing.

    Raises:
        LingoLiteError: naming the entry.
    """
    if not zipfile.is_zipfile(path):
        return  # the format before torch 1.6, or no checkpoint, which its reader says
    size_bytes = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            largest = max(archive.infolist(), key=lambda entry: entry.file_size, default=None)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return
    if largest is not None and largest.file_size > size_bytes:
        raise LingoLiteError(
            f"{path} cannot be read as a checkpoint: its entry {largest.filename[:100]} claims "
            f"{largest.file_size:,} bytes in a file of {size_bytes:,}",
            hint="it was compressed or tampered with; a checkpoint is written by torch.save",
        )


def check_tensor(name: str, tensor: Tensor, *, where: Path) -> None:
    """Refuse a tensor that is not plain float numbers, all of them in the file.

    Raises:
        LingoLiteError: naming it, and what to do.
    """
    problem, hint = _problem(tensor)
    if problem is not None:
        raise LingoLiteError(f"`{name}` of {where} {problem}", hint=hint)


def _problem(tensor: Tensor) -> tuple[str | None, str | None]:
    if tensor.is_meta:
        return "has no numbers: it is on the device `meta`", "load the weights into the model before it is saved"
    if tensor.is_quantized:
        return f"is quantized ({tensor.dtype})", "import the float model, and use `lingolite quantize`"
    if tensor.is_nested or tensor.layout != torch.strided:
        kind = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        return f"is not dense: its layout is {kind}", _DENSE
    if tensor.is_complex():
        return f"has complex numbers ({tensor.dtype})", _DENSE
    if not tensor.is_floating_point():
        return f"is {tensor.dtype}, not a float tensor", _DENSE
    problem, hint = _claim_problem(tensor)
    return (problem, hint) if problem is not None else _number_problem(tensor)


def _claim_problem(tensor: Tensor) -> tuple[str | None, str | None]:
    """An expanded view claims more elements than its storage has, and would take memory for all of them."""
    storage: Any = tensor.untyped_storage()
    claimed, stored = tensor.numel() * tensor.element_size(), storage.nbytes()
    if claimed <= stored:
        return None, None
    return f"claims {claimed:,} bytes in shape {list(tensor.shape)}, of which {stored:,} are stored", _DENSE


def _number_problem(tensor: Tensor) -> tuple[str | None, str | None]:
    flat = tensor.detach().reshape(-1)
    parts = (flat[start : start + _BLOCK] for start in range(0, len(flat), _BLOCK))
    # float8 has no test of its own, and float64 may be too large.
    num_bad = sum(int((~torch.isfinite(part.float())).sum()) for part in parts)
    if not num_bad:
        return None, None
    return (
        f"is not finite: {num_bad:,} of its {tensor.numel():,} weights are infinite or not a number",
        "its training diverged, or it is damaged; take an earlier checkpoint",
    )
