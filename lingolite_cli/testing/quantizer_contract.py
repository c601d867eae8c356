"""The contract of quantizers."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.artifact import BUNDLE_INT8, Artifact
from lingolite_cli.testing.conversion import ConversionContract


class QuantizerContract(ConversionContract):
    """Everything that the host relies on in a quantizer."""

    kind = "quantizer"

    def test_the_scheme_is_in_the_manifest(self, made: Artifact) -> None:
        assert made.manifest.quantization is not None
        assert made.manifest.quantization.scheme

    def test_the_artifact_is_smaller(self, artifact: Artifact, made: Artifact) -> None:
        assert made.size_bytes < artifact.size_bytes

    def test_integers_are_symmetric_and_every_row_has_a_scale(self, made: Artifact) -> None:
        from safetensors.numpy import load_file

        if made.manifest.format != BUNDLE_INT8:
            pytest.skip(f"the format `{made.manifest.format}` is not `{BUNDLE_INT8}`")
        tensors = load_file(made.weights_path)
        integers = {name: values for name, values in tensors.items() if values.dtype == np.int8}
        assert integers
        for name, values in integers.items():
            scale = tensors[f"{name}_scale"]
            assert values.min() >= -127, name
            assert scale.dtype == np.float32, name
            assert scale.shape[0] == values.shape[0], name
            assert np.isfinite(scale).all(), name
            assert (scale > 0).all(), name
