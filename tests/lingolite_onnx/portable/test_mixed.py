"""Mixed precision in ONNX: the bundle's integers matrix by matrix, and the tokens of PyTorch."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_quantizers.mixed import Mixed
from lingolite_quantizers.options import MixedOptions
from lingolite_torch.backends import CachedBackend
from lingolite_torch.options import TorchOptions

from lingolite_cli.artifact import Artifact, Provenance, derive_artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.testing import tiny_bundle
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.tiny import IDS
from tests.lingolite_onnx.onnx_bundles import export_to, tensors_of

MIXES = {
    "blocks": {"encoder.embedding": "int8", "encoder.layers.1.*": "fp16", "decoder.layers.0.ffn.*": "int8"},
    "float-embedding": {"encoder.embedding": "fp16", "decoder.*.cross_attn.*": "fp32"},
    "inside-fused": {"*.k_proj": "int8", "*.up_proj": "fp16", "decoder.layers.1.*.k_proj": "fp32"},
}


def mixed(source: Artifact, path: Path, layers: dict[str, str]) -> Artifact:
    with atomic_directory(path) as directory:
        options = msgspec.convert({"layers": layers, "group_size": 16}, MixedOptions)
        product = Mixed(options=options).quantize(source, directory)
        return derive_artifact(source, path, product, Provenance(operation="test"), directory=directory)


@pytest.fixture(scope="module", params=MIXES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """A mixed bundle and its export."""
    root = tmp_path_factory.mktemp(request.param)
    bundle = mixed(tiny_bundle(root / "tiny"), root / "mixed", MIXES[request.param])
    return bundle, export_to(bundle, root / "onnx", optimize="onnxruntime")


def test_the_graphs_compute_the_floats_that_the_bundle_stands_for(pair: tuple[Artifact, Artifact]) -> None:
    checks = pair[1].manifest.details["checks"]
    assert len(checks) == 2
    for check in checks:
        assert check["checked_by"][-1] == "reference"
        assert check["max_abs_difference"] < 1e-5 * check["max_abs_logit"]


def test_every_matrix_has_the_bytes_of_the_bundle(pair: tuple[Artifact, Artifact]) -> None:
    bundle, export = pair
    held = [
        onnx.numpy_helper.to_array(tensor).tobytes()
        for name in ("encoder.onnx", "decoder.onnx")
        for tensor in onnx.load(export.path / name).graph.initializer
    ]
    for name, stored in tensors_of(bundle).items():
        if stored.ndim != 2 or name.endswith(("_scale", "_zero_point")):
            continue
        is_float = stored.dtype in (np.float16, np.float32) and "embedding" not in name
        # Float matrices lie transposed, rows of fused ones side by side.
        needle = np.ascontiguousarray(stored.T if is_float else stored).tobytes()
        rows = stored.shape[0] * stored.itemsize if is_float else len(needle)
        assert any(needle in data or needle[:rows] in data for data in held), name


def test_pytorch_and_onnx_runtime_give_the_same_tokens(pair: tuple[Artifact, Artifact]) -> None:
    bundle, export = pair
    found = []
    for backend in (
        CachedBackend(bundle, options=TorchOptions(), threads=1),
        OnnxBackend(export, options=OnnxBackendOptions(), threads=1),
    ):
        hypotheses = search(
            backend, *pad(framed_sources(bundle), IDS.pad), ids=IDS, options=DecodingOptions(max_length=24)
        )
        found.append([best[0].tokens for best in hypotheses])
        backend.close()
    assert found[0] == found[1]
    assert len(set(found[0])) > 3
