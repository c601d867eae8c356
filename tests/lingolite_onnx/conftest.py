"""Bundles and exports that the tests of the ONNX plugin share; each is made once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT4,
    BUNDLE_INT8,
    BUNDLE_STATIC_INT8,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    Artifact,
    Manifest,
    Provenance,
    write_manifest,
)
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.model.checkpoint import read_checkpoint
from tests.lingolite_onnx.onnx_bundles import (
    Tensors,
    calibrated,
    export_to,
    grouped,
    quantized,
    shortlist_of,
    tensors_of,
    wide_headed_bundle,
    write_bundle,
)

DATA = Path(__file__).parent.parent / "data" / "existing-checkpoint"

Export: TypeAlias = Callable[..., Artifact]


@pytest.fixture(scope="session")
def expected() -> Tensors:
    """What the public LingoLite code computes with the checkpoint of `fixture_bundles`."""
    with np.load(DATA / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def fixture_bundles(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The checkpoint of the public LingoLite code as a bundle in each format."""
    root = tmp_path_factory.mktemp("bundles")
    checkpoint = read_checkpoint(DATA / "checkpoint.pt")
    tensors = {name: tensor.numpy() for name, tensor in checkpoint.tensors.items()}
    with atomic_directory(root / BUNDLE) as directory:
        (directory / TOKENIZER_NAME).write_bytes(small_tokenizer.read_bytes())
        save_file(tensors, directory / WEIGHTS_NAME)
        manifest = Manifest(
            format=BUNDLE, model=checkpoint.config, languages=("en", "da"), made_by=Provenance(operation="import")
        )
        write_manifest(directory, manifest)
    bundle = Artifact.open(root / BUNDLE)
    halves = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    upper_halves = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in tensors.items()}
    return {
        BUNDLE: bundle,
        BUNDLE_FP16: write_bundle(root / BUNDLE_FP16, bundle, halves, BUNDLE_FP16),
        BUNDLE_BF16: write_bundle(root / BUNDLE_BF16, bundle, upper_halves, BUNDLE_BF16),
        BUNDLE_INT8: write_bundle(root / BUNDLE_INT8, bundle, quantized(tensors), BUNDLE_INT8),
        BUNDLE_INT4: write_bundle(root / BUNDLE_INT4, bundle, grouped(tensors, group_size=16), BUNDLE_INT4),
    }


@pytest.fixture(scope="session")
def wide_bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A bundle that the ORT profile can carry, in float32, int8 and int4."""
    root = tmp_path_factory.mktemp("wide")
    bundle = wide_headed_bundle(root / BUNDLE)
    tensors = tensors_of(bundle)
    return {
        BUNDLE: bundle,
        BUNDLE_FP16: write_bundle(
            root / BUNDLE_FP16,
            bundle,
            {name: tensor.astype(np.float16) for name, tensor in tensors.items()},
            BUNDLE_FP16,
        ),
        BUNDLE_INT8: write_bundle(root / BUNDLE_INT8, bundle, quantized(tensors), BUNDLE_INT8),
        BUNDLE_STATIC_INT8: write_bundle(
            root / BUNDLE_STATIC_INT8,
            bundle,
            calibrated(quantized(tensors), bundle.manifest.model),
            BUNDLE_STATIC_INT8,
        ),
        BUNDLE_INT4: write_bundle(root / BUNDLE_INT4, bundle, grouped(tensors, group_size=32), BUNDLE_INT4),
    }


@pytest.fixture(scope="session")
def ort_exported(wide_bundles: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Export:
    """`ort_exported(format, **options)`: the export of a bundle in the ORT profile, made once."""

    @cache
    def make(format: str, **options: Any) -> Artifact:
        path = tmp_path_factory.mktemp("ort") / format
        return export_to(wide_bundles[format], path, profile="optimized", **options)

    return make


@pytest.fixture(scope="session")
def shortlisted(wide_bundles: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """`shortlisted(format, every=N)`: the export of a bundle with the shortlist of `shortlist_of`, made once."""

    @cache
    def make(format: str, every: int = 3) -> Artifact:
        root = tmp_path_factory.mktemp("shortlisted")
        shortlist_of(wide_bundles[format], every=every).write(root / "shortlist")
        return export_to(wide_bundles[format], root / format, profile="optimized", shortlist=root / "shortlist")

    return make


@pytest.fixture(scope="session")
def exported(fixture_bundles: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Export:
    """`exported(format, **options)`: the export of a fixture bundle, made once."""

    @cache
    def make(format: str, **options: Any) -> Artifact:
        return export_to(fixture_bundles[format], tmp_path_factory.mktemp("exports") / format, **options)

    return make
