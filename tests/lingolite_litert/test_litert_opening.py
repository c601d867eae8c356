"""Files that cannot be run: damaged ones, those of another model, those of a newer runtime; and what users see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from lingolite_cli.artifact import Artifact, read_manifest, write_manifest
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.registry import load_registry

pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')

from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from lingolite_litert.graph import packed  # noqa: E402
from lingolite_litert.interface import DECODE, MODEL  # noqa: E402
from lingolite_litert.opening import open_interpreter  # noqa: E402

Export = Callable[..., Artifact]


def _with_content(artifact: Artifact, path: Path, content: bytes) -> Artifact:
    """A copy of the artifact with another file, which its manifest lists."""
    shutil.copytree(artifact.path, path)
    (path / MODEL).write_bytes(content)
    write_manifest(path, read_manifest(path))
    return Artifact.open(path)


def _open(artifact: Artifact) -> Any:
    return load_registry().resolve("backend", "litert").create(artifact, options={}, threads=1)


def _changed(artifact: Artifact, change: Callable[[Any], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(artifact.read_bytes(MODEL))
    change(model)
    return packed(model)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:1000],
        lambda content: content[: len(content) // 2],
        lambda content: content[:8] + bytes(64) + content[72:],
        lambda content: b"PK\3\4 another format" * 50,
    ],
    ids=["empty", "head", "half", "zeros", "another format"],
)
def test_a_damaged_file_is_refused(exported: Export, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    artifact = exported("dynamic-int8")
    damaged = _with_content(artifact, tmp_path / "damaged", damage(artifact.read_bytes(MODEL)))
    with pytest.raises(LingoLiteError, match="LiteRT cannot open") as refusal:
        _open(damaged)
    assert refusal.value.hint == "export the bundle again"


def test_the_file_of_another_model_is_refused(exported: Export, tmp_path: Path) -> None:
    artifact = exported()
    shutil.copytree(artifact.path, tmp_path / "other")
    manifest = read_manifest(tmp_path / "other")
    model = msgspec.structs.replace(manifest.model, n_kv_heads=1)
    write_manifest(tmp_path / "other", msgspec.structs.replace(manifest, model=model))
    with pytest.raises(LingoLiteError, match=r"is not of the model .*`cross_key_0` has the shape \[-1, 2, -1, 8\]"):
        _open(Artifact.open(tmp_path / "other"))


def test_a_file_without_a_signature_is_refused(exported: Export, tmp_path: Path) -> None:
    def change(model: Any) -> None:
        model.signatureDefs = [one for one in model.signatureDefs if one.signatureKey != DECODE.encode()]

    artifact = exported()
    with pytest.raises(LingoLiteError, match="it has no signature `decode`"):
        _open(_with_content(artifact, tmp_path / "less", _changed(artifact, change)))


def test_an_operator_that_came_after_the_runtime_asks_for_a_newer_one(exported: Export, tmp_path: Path) -> None:
    def change(model: Any) -> None:
        for code in model.operatorCodes:
            code.version += 90

    artifact = exported()
    with pytest.raises(LingoLiteError, match="this LiteRT is too old for") as refusal:
        _open(_with_content(artifact, tmp_path / "newer", _changed(artifact, change)))
    assert refusal.value.exit_code == ExitCode.PLUGIN
    assert refusal.value.hint is not None
    assert "ai-edge-litert" in refusal.value.hint


def test_an_id_outside_the_vocabulary_is_an_error_of_the_engine(exported: Export) -> None:
    backend = _open(exported())
    with pytest.raises(LingoLiteError, match="LiteRT cannot run the graph"):
        backend.encode(np.array([[1 << 20]]), np.ones((1, 1), np.bool_))
    backend.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_change_nothing(exported: Export, threads: int) -> None:
    found = []
    for count in (1, threads):
        backend = load_registry().resolve("backend", "litert").create(exported("dynamic-int8"), threads=count)
        state = backend.encode(np.array([[5, 6, 7]]), np.ones((1, 3), np.bool_))
        found.append(backend.step(state, np.array([1])))
        backend.close()
    np.testing.assert_array_equal(found[0], found[1])


def test_the_runtime_writes_nothing_on_the_users_screen(exported: Export) -> None:
    program = (
        "import os, sys; from pathlib import Path; from lingolite_litert.opening import open_interpreter;"
        f"open_interpreter(Path({str(exported().path / MODEL)!r}), delegate='xnnpack', threads=1);"
        "os.write(2, b'said later')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert (found.stdout, found.stderr) == ("", "said later")


def test_a_closed_standard_error_does_not_matter(exported: Export) -> None:
    program = (
        "import os; os.close(2); from pathlib import Path; from lingolite_litert.opening import open_interpreter;"
        f"open_interpreter(Path({str(exported().path / MODEL)!r}), delegate='xnnpack', threads=1); print('opened')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    assert found.stdout == "opened\n"


def test_a_model_may_be_opened_from_memory(exported: Export) -> None:
    assert open_interpreter(exported().read_bytes(MODEL), delegate="none", threads=1).get_signature_list()
