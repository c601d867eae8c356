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

from lingolite_cli.architecture.parts import WEIGHT_SUFFIX, parts_of
from lingolite_cli.architecture.tensors import matrix_keys, shared_inputs, vocabulary_keys
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, Artifact, Product, Quantization
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel, load_model
from lingolite_cli.model.calibration import CalibrationRun
from lingolite_cli.model.parameters import bundle_tensors
from lingolite_cli.plugins.quantizers import Calibration
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import require_format, write_tensors
from lingolite_cli.weights.groups import GROUP_SIZES, GroupedMatrix, quantize_groups
from lingolite_torch.gptq import gptq_groups
from lingolite_torch.options import GptqInt4Options

Moments: TypeAlias = npt.NDArray[np.float64]


class GptqInt4:
    """Quantizes every matrix of a bundle to 4 bits, the embeddings to 4 or 8; norms stay in float32."""

    def __init__(self, *, options: GptqInt4Options) -> None:
        self.options = options

    def quantize(self, source: Artifact, directory: Path, *, calibration: Calibration) -> Product:
        """Write the packed weights of `source` into `directory`.

        Raises:
            LingoLiteError: `source` is not a float bundle, the group size does not divide the rows of a matrix, or a
                weight or an activation is infinite or not a number.
        """
        require_format(source, (BUNDLE, BUNDLE_FP16, BUNDLE_BF16))
        torch.set_num_threads(calibration.threads)
        model = load_model(source)
        floats = {name: tensor.numpy() for name, tensor in bundle_tensors(model).items()}
        matrices = matrix_keys(model.config)
        in_8_bits = vocabulary_keys(model.config) if self.options.embedding_bits == 8 else ()
        for name in matrices:  # what cannot be rounded is refused before the text is translated
            self._rounded(name, floats[name][:1], moments=None, bits=8 if name in in_8_bits else 4)
        moments = self._moments(model, source, calibration)
        stored: dict[str, npt.NDArray[Any]] = {name: floats[name] for name in floats if name not in matrices}
        for name in matrices:
            bits = 8 if name in in_8_bits else 4
            stored |= self._rounded(name, floats[name], moments=moments.get(name), bits=bits).tensors(name)
        write_tensors(stored, directory)
        num_samples = min(len(calibration.sources), self.options.max_samples)
        details = {"num_samples": num_samples, "languages": list(calibration.languages)}
        return Product(
            format=BUNDLE_INT4,
            quantization=Quantization("gptq-int4", int8_tensors=in_8_bits),
            details={"calibration": details},
        )

    def _moments(self, model: MobileTranslationModel, source: Artifact, calibration: Calibration) -> dict[str, Moments]:
        """By the name of a matrix, [in, in] float64: the sum of x xᵀ over what it met."""
        projection = parts_of(model.config).decoder.projection.name
        # The projection is the embedding where they are tied, and rows of an embedding are looked up, not multiplied.
        groups = [group for group in shared_inputs(model.config) if projection not in group]
        sums: dict[str, torch.Tensor] = {}

        def add(name: str, x: torch.Tensor) -> None:
            # Sums over tens of thousands of rows: in float32 the small ones would be lost.
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
        return {name + WEIGHT_SUFFIX: sums[group[0]].numpy() for group in groups for name in group}

    def _rounded(
        self, name: str, matrix: npt.NDArray[np.float32], *, moments: Moments | None, bits: int
    ) -> GroupedMatrix:
        """A matrix in integers; without moments rounded to the nearest, as `int4` does."""
        options = self.options
        try:
            if moments is not None:
                return gptq_groups(matrix, moments, group_size=options.group_size, damping=options.damping)
            if bits == 4:
                return quantize_groups(matrix, bits=4, group_size=options.group_size, is_symmetric=False)
            fitting = [size for size in GROUP_SIZES if matrix.shape[1] % size == 0]
            size = max(fitting, default=options.group_size)
            return quantize_groups(matrix, bits=8, group_size=size, is_symmetric=True)
        except LingoLiteError as error:
            raise LingoLiteError(f"cannot quantize `{name}`: {error.message}", hint=error.hint) from None
