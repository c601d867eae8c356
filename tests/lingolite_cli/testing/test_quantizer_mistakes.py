"""The contract of quantizers fails for those that break a promise: each mistake is one that an author could make."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT8, MANIFEST_NAME, WEIGHTS_NAME, Artifact, Product, Quantization
from lingolite_cli.plugins.specs import QuantizerSpec
from lingolite_cli.testing import QuantizerContract
from lingolite_cli.testing.routes import convert_observed
from tests.lingolite_cli.testing.plugin_here import Here, fails


class Halves:
    """A quantizer that does its work: float16 in the guise of int8, which the format forbids."""

    def __init__(self, *, options: Any) -> None:
        """It has none."""

    def quantize(self, source: Artifact, directory: Path) -> Product:
        weights = {name: array.astype(np.float16) for name, array in load_file(source.weights_path).items()}
        save_file(weights, directory / WEIGHTS_NAME)
        return Product(format=BUNDLE_INT8, quantization=Quantization("dynamic-int8"))


class NeverTheSame(Halves):
    count = 0

    def quantize(self, source: Artifact, directory: Path) -> Product:
        NeverTheSame.count += 1
        (directory / "notes.json").write_text(json.dumps(NeverTheSame.count))
        return super().quantize(source, directory)


class ChangesItsSource(Halves):
    def quantize(self, source: Artifact, directory: Path) -> Product:
        (source.path / "marked").write_text("done")
        return super().quantize(source, directory)


class WritesAManifest(Halves):
    def quantize(self, source: Artifact, directory: Path) -> Product:
        (directory / MANIFEST_NAME).write_text("{}")
        return super().quantize(source, directory)


class Grows(Halves):
    def quantize(self, source: Artifact, directory: Path) -> Product:
        product = super().quantize(source, directory)
        (directory / "copy.bin").write_bytes(source.weights_path.read_bytes())
        return product


class SaysAnotherFormat(Halves):
    def quantize(self, source: Artifact, directory: Path) -> Product:
        super().quantize(source, directory)
        return Product(format="bundle-int4")


class QuantizerCandidate(QuantizerContract):
    """The contract of one of the classes above."""

    plugin = "here"
    __test__ = False

    def __init__(self, made: type) -> None:
        spec = QuantizerSpec(name="here", summary="", factory="", accepts=frozenset({BUNDLE}), produces=BUNDLE_INT8)
        self.loaded = lambda: Here("quantizer", spec, made)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("made", "test"),
    [
        (NeverTheSame, "test_the_same_work_gives_the_same_bytes"),
        (ChangesItsSource, "test_the_source_is_only_read"),
        (WritesAManifest, "test_tokenizer_and_manifest_are_left_to_the_host"),
        (Grows, "test_the_artifact_is_smaller"),
        (SaysAnotherFormat, "test_the_artifact_has_the_format_that_is_declared"),
        (SaysAnotherFormat, "test_the_scheme_is_in_the_manifest"),
        (Halves, "test_integers_are_symmetric_and_every_row_has_a_scale"),
    ],
)
def test_a_quantizer_with_a_mistake_fails(artifact: Artifact, tmp_path: Path, made: type, test: str) -> None:
    contract = QuantizerCandidate(made)
    conversion = convert_observed(contract.loaded(), artifact, tmp_path / "made")
    available = {"artifact": artifact, "tmp_path": tmp_path, "conversion": conversion, "made": conversion.artifact}
    wanted = signature(getattr(contract, test)).parameters
    fails(getattr(contract, test), **{name: available[name] for name in wanted})
