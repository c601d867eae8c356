"""The three backends through encode, step, select and close, against the model itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from lingolite_quantizers.bf16 import Bf16
from lingolite_quantizers.dynamic_int8 import DynamicInt8
from lingolite_quantizers.fp16 import Fp16
from lingolite_quantizers.int4 import Int4
from lingolite_quantizers.options import Int4Options
from lingolite_torch import lingolite_backends
from lingolite_torch.backends import CachedBackend, EagerBackend, Int8Backend
from lingolite_torch.options import TorchOptions
from safetensors.numpy import load_file, save

from lingolite_cli.artifact import BUNDLE, WEIGHTS_NAME, Artifact, Product, Provenance, derive_artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.model import apply_dynamic_quantization, int8, load_bundle
from lingolite_cli.plugins.specs import NoOptions

BACKENDS = {"eager": EagerBackend, "cached": CachedBackend, "int8": Int8Backend}
ROUNDING = {"eager": 1e-5, "cached": 1e-4, "int8": 1e-3}


def _quantize(quantizer, source: Artifact, path: Path, options: msgspec.Struct | None = None) -> Artifact:
    with atomic_directory(path) as directory:
        product = quantizer(options=options or NoOptions()).quantize(source, directory)
        return derive_artifact(source, path, product, Provenance(operation="quantize"), directory=directory)


@pytest.fixture(scope="module")
def int8_bundle(existing_bundle, tmp_path_factory):
    return _quantize(DynamicInt8, existing_bundle, tmp_path_factory.mktemp("q") / "int8")


@pytest.fixture(scope="module", params=[Fp16, Bf16], ids=["fp16", "bf16"])
def half_bundle(request, existing_bundle, tmp_path_factory):
    return _quantize(request.param, existing_bundle, tmp_path_factory.mktemp("q") / "half")


@pytest.fixture(params=BACKENDS)
def name(request) -> str:
    return request.param


@pytest.fixture
def artifact(name, existing_bundle, int8_bundle) -> Artifact:
    return int8_bundle if name == "int8" else existing_bundle


@pytest.fixture
def backend(name, artifact):
    backend = BACKENDS[name](artifact, options=TorchOptions(), threads=1)
    yield backend
    backend.close()


@pytest.fixture
def sources(expected):
    return expected["source_ids"], expected["source_mask"] == 1


def _logits(backend, sources, targets: np.ndarray) -> np.ndarray:
    """[B, T, V], one step after the other."""
    state = backend.encode(*sources)
    return np.stack([backend.step(state, column) for column in targets.T], axis=1)


def test_steps_give_the_models_logits(name, backend, artifact, sources, expected):
    with torch.no_grad():
        want = load_bundle(artifact.path)(
            *(torch.from_numpy(a) for a in (sources[0], expected["target_ids"], sources[1]))
        )
    found = _logits(backend, sources, expected["target_ids"])
    assert (found.dtype, found.shape) == (np.float32, (3, 7, 97))
    np.testing.assert_allclose(found, want.numpy(), atol=ROUNDING[name], rtol=0)


@pytest.mark.parametrize("name", ["eager", "cached"])
def test_float_backends_give_the_tokens_of_the_existing_code(backend, sources, expected):
    state, tokens = backend.encode(*sources), np.ones(3, np.int64)
    found = [tokens]
    for _ in range(19):
        tokens = backend.step(state, tokens).argmax(axis=1)
        found.append(tokens)
    np.testing.assert_array_equal(np.stack(found, axis=1), expected["greedy"])


def test_int8_backends_run_the_integers_of_apply_dynamic_quantization(existing_bundle, int8_bundle, sources, expected):
    inputs = [torch.from_numpy(array) for array in (sources[0], expected["target_ids"], sources[1])]
    quantized = apply_dynamic_quantization(load_bundle(existing_bundle.path))
    with torch.no_grad():
        assert torch.equal(quantized(*inputs), load_bundle(int8_bundle.path)(*inputs))


@pytest.mark.parametrize(
    "rows", [[0, 1, 2], [2, 0, 1], [1], [2, 0], [0, 0, 1, 1, 2, 2], [1, 1, 0]], ids=lambda rows: str(rows)
)
@pytest.mark.parametrize("steps_before", [0, 1, 3])
def test_selected_rows_go_on_as_they_would_alone(name, backend, sources, expected, rows, steps_before):
    targets = expected["target_ids"]
    want = _logits(backend, sources, targets)
    state = backend.encode(*sources)
    for column in targets[:, :steps_before].T:
        backend.step(state, column)
    state = backend.select(state, np.array(rows))
    for step in range(steps_before, 6):
        found = backend.step(state, targets[rows, step])
        np.testing.assert_allclose(found, want[rows, step], atol=ROUNDING[name], rtol=0)


def test_beams_can_be_reordered_within_and_across_sentences(name, backend, sources, expected):
    """Prefixes that differ in two beams of a sentence must follow their rows."""
    ids, mask = sources[0][:2], sources[1][:2]
    state = backend.select(backend.encode(ids, mask), np.array([0, 0, 1, 1]))
    prefixes = np.array([[1, 8, 20], [1, 9, 30], [1, 10, 40], [1, 11, 50]])
    order = np.arange(4)
    for step, rows in enumerate([[1, 0, 2, 2], [0, 1, 3, 2], [3, 3, 0, 1]]):
        backend.step(state, prefixes[:, step])
        state = backend.select(state, np.array(rows))
        prefixes, order = prefixes[rows], order[rows]
    found = backend.step(state, np.array([60, 61, 62, 63]))
    sentences = order // 2
    whole = np.concatenate((prefixes, [[60], [61], [62], [63]]), axis=1)
    want = _logits(backend, (ids[sentences], mask[sentences]), whole)[:, -1]
    np.testing.assert_allclose(found, want, atol=ROUNDING[name], rtol=0)
    assert sentences.tolist() == [1, 1, 0, 0]


def test_a_sentence_does_not_depend_on_its_batch_mates(name, backend, sources, expected):
    together = _logits(backend, sources, expected["target_ids"])
    for row, mask in enumerate(sources[1]):
        length = mask.sum()
        alone = _logits(
            backend,
            (sources[0][row : row + 1, :length], mask[None, :length]),
            expected["target_ids"][row : row + 1],
        )
        np.testing.assert_allclose(alone[0], together[row], atol=ROUNDING[name], rtol=0)


def test_half_precision_bundles_are_computed_in_float32(half_bundle, existing_bundle, sources, expected):
    logits = {}
    for bundle in (half_bundle, existing_bundle):
        backend = CachedBackend(bundle, options=TorchOptions(), threads=1)
        logits[bundle] = _logits(backend, sources, expected["target_ids"])
    assert logits[half_bundle].dtype == np.float32
    difference = np.abs(logits[half_bundle] - logits[existing_bundle]).max()
    assert 0 < difference < 0.2


@pytest.mark.parametrize(("symmetric", "embedding_bits"), [(True, 4), (False, 8)])
def test_int4_bundles_are_computed_as_the_floats_that_they_stand_for(
    existing_bundle, sources, expected, tmp_path, symmetric, embedding_bits
):
    """The same logits, bit by bit, as a float bundle whose weights were rounded here, one group at a time."""
    options = Int4Options(group_size=16, symmetric=symmetric, embedding_bits=embedding_bits)
    int4 = _quantize(Int4, existing_bundle, tmp_path / "int4", options)
    floats = load_file(existing_bundle.weights_path)
    for name, weight in floats.items():
        if weight.ndim == 2:
            if "embedding" in name and embedding_bits == 8:  # in the largest group that divides 32 columns
                groups = [_rounded(group, 8, is_symmetric=True) for group in weight.reshape(-1, 32)]
            else:
                groups = [_rounded(group, 4, is_symmetric=symmetric) for group in weight.reshape(-1, 16)]
            floats[name] = np.stack(groups).reshape(weight.shape)
    with atomic_directory(tmp_path / "floats") as directory:
        (directory / WEIGHTS_NAME).write_bytes(save(floats))
        made_by = Provenance(operation="test")
        rounded = derive_artifact(
            existing_bundle, tmp_path / "floats", Product(format=BUNDLE), made_by, directory=directory
        )
    for kind in (EagerBackend, CachedBackend):
        want, found = (
            _logits(kind(bundle, options=TorchOptions(), threads=1), sources, expected["target_ids"])
            for bundle in (rounded, int4)
        )
        np.testing.assert_array_equal(found, want)


def _rounded(group: np.ndarray, bits: int, *, is_symmetric: bool) -> np.ndarray:
    """A group of float32 as multiples of a float32 scale."""
    if is_symmetric:
        scale = group[np.abs(group).argmax()] / np.float32(-(2 ** (bits - 1)))
        return np.rint(group / scale).clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * scale
    steps = np.float32(2**bits - 1)
    low, high = min(group.min(), np.float32(0)), max(group.max(), np.float32(0))
    scale = high / steps - low / steps
    zero_point = np.rint(-low / scale)
    return ((np.rint(group / scale) + zero_point).clip(0, steps) - zero_point) * scale


def test_an_artifact_of_another_format_is_refused(existing_bundle, int8_bundle):
    for backend, bundle in ((EagerBackend, int8_bundle), (CachedBackend, int8_bundle), (Int8Backend, existing_bundle)):
        with pytest.raises(LingoLiteError, match=f"has the format {bundle.manifest.format}, not"):
            backend(bundle, options=TorchOptions(), threads=1)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:99", "`cuda:99` is not available"),
        ("cdua", "unknown device `cdua`"),
        ("meta", "unknown device `meta`"),
    ],
)
def test_a_device_that_is_not_there_is_refused(existing_bundle, device, message):
    with pytest.raises(LingoLiteError, match=message) as raised:
        CachedBackend(existing_bundle, options=TorchOptions(device=device), threads=1)
    assert raised.value.hint


def test_threads_are_set(existing_bundle):
    before = torch.get_num_threads()
    try:
        EagerBackend(existing_bundle, options=TorchOptions(), threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_cpu_with_a_saturating_kernel_is_warned_of_and_still_exact(int8_bundle, sources, expected, monkeypatch):
    usual = Int8Backend(int8_bundle, options=TorchOptions(), threads=1)
    want = _logits(usual, sources, expected["target_ids"])
    monkeypatch.setattr(int8, "is_int_mm_exact", lambda: False)
    monkeypatch.setattr("lingolite_torch.backends.is_int_mm_exact", lambda: False)
    backend = Int8Backend(int8_bundle, options=TorchOptions(), threads=1)
    assert len(backend.warnings) == 1
    assert "saturates" in backend.warnings[0]
    np.testing.assert_array_equal(_logits(backend, sources, expected["target_ids"]), want)


def test_descriptors_name_the_classes():
    factories = {spec.name: spec.factory for spec in lingolite_backends()}
    assert factories == {name: f"lingolite_torch.backends:{kind.__name__}" for name, kind in BACKENDS.items()}
    assert {spec.name: spec.accepts for spec in lingolite_backends()} == {
        name: frozenset(kind.accepts) for name, kind in BACKENDS.items()
    }


def test_descriptors_import_no_torch():
    code = (
        "import lingolite_torch, lingolite_quantizers, sys;"
        "list(lingolite_torch.lingolite_backends()), list(lingolite_quantizers.lingolite_quantizers());"
        "print([name for name in ('torch', 'numpy', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
