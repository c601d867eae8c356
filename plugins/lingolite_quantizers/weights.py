"""The weight files of bundles as numpy arrays: reading and writing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401  (teaches numpy the dtype bfloat16, which safetensors asks for by name)
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from lingolite_cli.artifact import WEIGHTS_NAME, Artifact
from lingolite_cli.errors import LingoLiteError


def read_weights(source: Artifact, *, accepts: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a bundle.

    Args:
        source: a bundle.
        accepts: the formats that the caller understands.

    Raises:
        LingoLiteError: `source` has another format, or its weights cannot be read.
    """
    if source.manifest.format not in accepts:
        raise LingoLiteError(
            f"{source.path} has the format {source.manifest.format}, not {' or '.join(sorted(accepts))}",
            hint="quantize the bundle that it was made from",
        )
    try:
        tensors: dict[str, npt.NDArray[Any]] = load_file(source.weights_path)
    except (SafetensorError, OSError) as error:
        raise LingoLiteError(
            f"cannot read the weights {source.weights_path}: {error}", hint="make the bundle again"
        ) from None
    return tensors


def write_weights(tensors: Mapping[str, npt.NDArray[Any]], directory: Path) -> None:
    """Write the weight file of a bundle into `directory`; equal tensors give equal bytes."""
    (directory / WEIGHTS_NAME).write_bytes(save(dict(tensors)))
