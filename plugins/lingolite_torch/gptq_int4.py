"""The quantizer `gptq-int4`: 4-bit weights by groups, rounded so that what they do to a calibration text changes least.

The rounding is `lingolite_torch.gptq`'s, the format that of `int4`. The embedding, and with it the output projection,
is rounded to the nearest.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save

from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT4,
    WEIGHTS_NAME,
    Artifact,
    Product,
    Quantization,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel, load_model
from lingolite_cli.model.calibration import CalibrationRun
from lingolite_cli.model.parameters import bundle_tensors
from lingolite_cli.plugins.interfaces import Calibration
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.groups import GROUP_SIZES, GroupedMatrix, quantize_groups
from lingolite_cli.weights.ranges import shared_inputs
from lingolite_torch.gptq import gptq_groups
from lingolite_torch.options import GptqInt4Options

Moments: TypeAlias = npt.NDArray[np.float64]

_ACCEPTS = (BUNDLE, BUNDLE_FP16, BUNDLE_BF16)
_EMBEDDINGS = ("encoder.embedding.weight", "decoder.embedding.weight", "decoder.lm_head.weight")


class GptqInt4:
    """Quantizes every matrix of a bundle to 4 bits, the embeddings to 4 or 8; norms stay in float32."""

    def __init__(self, *, options: GptqInt4Options) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path, *, calibration: Calibration) -> Product:
        """Write the packed weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is no float bundle, the group size does not divide the rows of a matrix, or a
                weight or an activation is infinite or not a number.
        """
        if source.manifest.format not in _ACCEPTS:
            raise LingoLiteError(
                f"{source.path} has the format {source.manifest.format}, not {' or '.join(sorted(_ACCEPTS))}",
                hint="quantize the bundle that it was made from",
            )
        torch.set_num_threads(calibration.threads)
        model = load_model(source)
        floats = {name: tensor.numpy() for name, tensor in bundle_tensors(model).items()}
        matrices = [name for name, tensor in floats.items() if tensor.ndim == 2]
        for name in matrices:  # what cannot be rounded is refused before the text is translated
            self._rounded(name, floats[name][:1], None)
        moments = self._moments(model, source, calibration)
        stored: dict[str, npt.NDArray[Any]] = {name: floats[name] for name in floats if name not in matrices}
        for name in matrices:
            stored |= self._rounded(name, floats[name], moments.get(name)).tensors(name)
        (directory / WEIGHTS_NAME).write_bytes(save(stored))
        int8_tensors = tuple(name for name in _EMBEDDINGS if self.options.embedding_bits == 8 and name in floats)
        num_samples = min(len(calibration.sources), self.options.max_samples)
        details = {"num_samples": num_samples, "languages": list(calibration.languages)}
        return Product(
            format=BUNDLE_INT4,
            quantization=Quantization("gptq-int4", int8_tensors=int8_tensors),
            details={"calibration": details},
        )

    def _moments(self, model: MobileTranslationModel, source: Artifact, calibration: Calibration) -> dict[str, Moments]:
        """By the name of a matrix, [in, in] float64: the sum of x xᵀ over what it met."""
        groups = [group for group in shared_inputs(model.config) if group != ("decoder.lm_head",)]
        sums: dict[str, torch.Tensor] = {}

        def add(name: str, x: torch.Tensor) -> None:
            product = x.t().double() @ x.double()
            sums[name] = sums[name] + product if name in sums else product

        run = CalibrationRun(
            model,
            calibration.sources[: self.options.max_samples],
            tokenizer=open_tokenizer(source),
            languages=calibration.languages,
            track=calibration.track,
        )
        run.show_to({group[0]: partial(add, group[0]) for group in groups})
        return {f"{name}.weight": sums[group[0]].numpy() for group in groups for name in group}

    def _rounded(self, name: str, matrix: npt.NDArray[np.float32], moments: Moments | None) -> GroupedMatrix:
        """A matrix in integers; without moments rounded to the nearest, as `int4` does."""
        options = self.options
        try:
            if moments is not None:
                return gptq_groups(matrix, moments, group_size=options.group_size, damping=options.damping)
            if name not in _EMBEDDINGS or options.embedding_bits == 4:
                return quantize_groups(matrix, bits=4, group_size=options.group_size, is_symmetric=False)
            fitting = [size for size in GROUP_SIZES if matrix.shape[1] % size == 0]
            size = max(fitting, default=options.group_size)
            return quantize_groups(matrix, bits=8, group_size=size, is_symmetric=True)
        except LingoLiteError as error:
            raise LingoLiteError(f"cannot quantize `{name}`: {error.message}", hint=error.hint) from None
