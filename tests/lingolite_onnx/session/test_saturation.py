"""CPUs that cannot compute 8-bit products are found out, named and mended."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.session.saturation import ProbeResult, int8_is_exact

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT8, Artifact
from tests.lingolite_onnx.onnx_bundles import needs_exact_int8


def opened(artifact: Artifact) -> OnnxBackend:
    return OnnxBackend(artifact, options=OnnxBackendOptions(), threads=1)


@pytest.mark.parametrize(
    ("is_mended", "effect"), [(True, "exact, and slower"), (False, "scores of int8 graphs are wrong here")]
)
def test_an_inexact_probe_names_reason_effect_and_remedy(is_mended: bool, effect: str) -> None:
    warning = ProbeResult(is_exact=False, is_mended=is_mended, max_error=4321, relative_error=0.25).warning
    assert warning is not None
    for part in ("VNNI", "4,321", "25%", "onnxruntime#14642", effect, "x64quantprecision" if is_mended else "fp16"):
        assert part in warning


@pytest.mark.parametrize(
    ("is_exact", "is_mended", "asked"), [(True, True, False), (False, True, True), (False, False, False)]
)
def test_precision_is_asked_for_where_it_is_needed_and_helps(is_exact: bool, is_mended: bool, asked: bool) -> None:
    result = ProbeResult(is_exact=is_exact, is_mended=is_mended, max_error=1, relative_error=0.1)
    assert dict(result.entries) == ({"session.x64quantprecision": "1"} if asked else {})


IDS = np.array([[6, 9, 12, 30, 2], [6, 31, 2, 0, 0], [6, 9, 40, 2, 0]])


def logits_of(backend: OnnxBackend) -> np.ndarray:
    state = backend.encode(IDS, IDS != 0)
    return np.stack([backend.step(state, column).copy() for column in IDS.T])


@needs_exact_int8
@pytest.mark.parametrize("profile", ["portable", "optimized", "optimized batch"])
def test_graphs_that_are_asked_for_precision_compute_the_same(
    exported: Any, ort_exported: Any, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    monkeypatch.setattr("lingolite_onnx.ort.runner.MANY_ROWS", 2 if profile == "optimized batch" else 8)
    artifact = exported(BUNDLE_INT8) if profile == "portable" else ort_exported(BUNDLE_INT8)
    expected = logits_of(opened(artifact))
    mended = ProbeResult(is_exact=False, is_mended=True, max_error=1, relative_error=0.1)
    monkeypatch.setattr("lingolite_onnx.backend.int8_is_exact", lambda threads: mended)
    asked = opened(artifact)
    assert asked.warnings == [mended.warning]
    np.testing.assert_allclose(logits_of(asked), expected, rtol=0, atol=1e-5)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 on x86-64"
)
def test_int8_graphs_are_exact_on_an_emulated_cpu_without_vnni(exported: Any, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "import numpy as np\n"
        "from lingolite_cli.artifact import Artifact\n"
        "from lingolite_onnx.backend import OnnxBackend\n"
        "from lingolite_onnx.backend_options import OnnxBackendOptions\n"
        "out, ids, *paths = sys.argv[1:]\n"
        "for path in paths:\n"
        "    backend = OnnxBackend(Artifact.open(path), options=OnnxBackendOptions(), threads=1)\n"
        "    print(*backend.warnings or ['nothing'])\n"
        "ids = np.load(ids)\n"
        "state = backend.encode(ids, ids != 0)\n"
        "np.save(out, np.stack([backend.step(state, column) for column in ids.T]))\n"
    )
    np.save(tmp_path / "ids.npy", IDS)
    files = [str(tmp_path / "logits.npy"), str(tmp_path / "ids.npy")]
    artifacts = [str(exported(format).path) for format in (BUNDLE, BUNDLE_INT8)]
    interpreter = str(Path(sys.executable).resolve())
    command = ["qemu-x86_64", "-cpu", "Haswell", interpreter, "-c", program, *files, *artifacts]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    of_floats, of_int8 = done.stdout.splitlines()
    assert of_floats == "nothing"
    assert "without VNNI (onnxruntime#14642); the probe's sums were off by" in of_int8
    assert "exact, and slower" in of_int8
    expected = logits_of(opened(exported(BUNDLE_INT8)))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=0, atol=1e-6)


def test_the_probe_is_exact_where_the_cpu_has_vnni() -> None:
    information = Path("/proc/cpuinfo")
    if not information.is_file() or "vnni" not in information.read_text():
        pytest.skip("this machine does not say that it has VNNI")
    assert int8_is_exact(1) == ProbeResult(is_exact=True, is_mended=True, max_error=0, relative_error=0.0)
