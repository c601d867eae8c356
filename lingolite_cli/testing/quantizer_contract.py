"""The contract of quantizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.artifact import BUNDLE_INT8, BUNDLE_STATIC_INT8, Artifact
from lingolite_cli.testing.conversion import ConversionContract
from lingolite_cli.testing.routes import convert_with
from lingolite_cli.weights.bundle import read_tensors
from lingolite_cli.weights.rows import INT8_MAX, SCALE_SUFFIX


class QuantizerContract(ConversionContract):
    """Everything that the host relies on in a quantizer."""

    kind = "quantizer"

    def test_the_scheme_is_in_the_manifest(self, made: Artifact) -> None:
        assert made.manifest.quantization is not None
        assert made.manifest.quantization.scheme

    def test_the_artifact_is_smaller(self, artifact: Artifact, made: Artifact) -> None:
        assert made.size_bytes < artifact.size_bytes

    def test_integers_are_symmetric_and_every_row_has_a_scale(self, made: Artifact) -> None:
        if made.manifest.format not in (BUNDLE_INT8, BUNDLE_STATIC_INT8):
            pytest.skip(f"the format `{made.manifest.format}` has no integers by row")
        tensors = read_tensors(made)
        integers = {name: values for name, values in tensors.items() if values.dtype == np.int8}
        assert integers
        for name, values in integers.items():
            scale = tensors[name + SCALE_SUFFIX]
            assert values.min() >= -INT8_MAX, name
            assert scale.dtype == np.float32, name
            assert scale.shape[0] == values.shape[0], name
            assert np.isfinite(scale).all(), name
            assert (scale > 0).all(), name

    def test_each_precision_is_larger_than_the_one_before(self, artifact: Artifact, tmp_path: Path) -> None:
        sizes = [self._as(artifact, tmp_path / name, default=name, layers={}).size_bytes for name in self._precisions()]
        assert sizes == sorted(set(sizes))

    def test_a_pattern_changes_the_matrices_that_it_matches_and_no_others(
        self, artifact: Artifact, tmp_path: Path
    ) -> None:
        smallest, *_, largest = self._precisions()
        without = _weights(self._as(artifact, tmp_path / "uniform", default=smallest, layers={}))
        part = parts_of(artifact.manifest.model).decoder.layers[-1].feed_forward.name
        layers = {f"{part}.*": largest}
        found = _weights(self._as(artifact, tmp_path / "mixed", default=smallest, layers=layers))
        changed = {name for name in {*without, *found} if without.get(name) != found.get(name)}
        assert changed
        assert all(name.startswith(f"{part}.") for name in changed)

    def _precisions(self) -> tuple[str, ...]:
        spec = self.loaded().spec
        if not spec.precisions:
            pytest.skip(f"quantizer `{self.plugin}` does not declare `precisions`")
        precisions: tuple[str, ...] = spec.precisions
        return precisions

    def _as(self, source: Artifact, path: Path, **options: Any) -> Artifact:
        return convert_with(self.loaded(), source, path, options={**self.options, **options})


def _weights(artifact: Artifact) -> dict[str, bytes]:
    """The bytes of each tensor, with its dtype."""
    return {name: str(tensor.dtype).encode() + tensor.tobytes() for name, tensor in read_tensors(artifact).items()}
