"""What is refused before a page is made, and how the runtime's files are checked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lingolite_web import runtime
from lingolite_web.options import WebExportOptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from tests.lingolite_web.conftest import refusal

NODE = shutil.which("node")


def test_int4_files_are_refused_with_the_reason(exported: Any, tmp_path: Path) -> None:
    error = refusal(exported("int4"), tmp_path)
    assert "int4 weights: 4-bit products (MatMulNBits) take about 5 times as long" in str(error)


def test_files_for_onnx_runtime_alone_are_refused_with_the_reason(exported: Any, tmp_path: Path) -> None:
    portable = exported()
    details = {**portable.manifest.details, "profile": "optimized"}
    optimized = Artifact(portable.path, msgspec.structs.replace(portable.manifest, details=details))
    error = refusal(optimized, tmp_path)
    assert "computes slowly and not exactly" in str(error)
    assert error.hint == "export with --option profile=portable"


def test_languages_that_the_model_does_not_know_are_refused(exported: Any, tmp_path: Path) -> None:
    assert "does not know the language `xx`" in str(refusal(exported(), tmp_path, pairs="en:xx"))


@pytest.mark.parametrize("pairs", ["en", "en-da", "en:", ":da", "en:da:fr", "", "en:da,"])
def test_pairs_of_another_form_are_refused(pairs: str) -> None:
    with pytest.raises(ValueError, match="expected languages such as en:da"):
        WebExportOptions(pairs=pairs)


def test_a_directory_without_the_runtime_is_refused(exported: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    error = refusal(exported(), tmp_path / "out", runtime=str(tmp_path))
    assert "ort.wasm.min.mjs cannot be read: No such file or directory" in str(error)
    assert f"of version {runtime.VERSION}" in str(error.hint)


def test_files_of_another_version_of_the_runtime_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    for name in runtime.DIGESTS:
        (tmp_path / "dist" / name).write_bytes(b"of another version")
    with pytest.raises(LingoLiteError, match=r"is not that of onnxruntime-web 1\.30\.0: its SHA-256 is another one"):
        runtime.read_runtime(str(tmp_path))


def test_without_npm_a_directory_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LingoLiteError, match="npm, which installs onnxruntime-web, was not found") as caught:
        runtime.read_runtime(None)
    assert "--option runtime=DIR" in str(caught.value.hint)


def test_lock_file_names_no_registry_and_has_a_digest_of_every_package() -> None:
    lock = (Path(runtime.__file__).parent / "runtime_lock/package-lock.json").read_text(encoding="utf-8")
    assert "://" not in lock
    assert f'"onnxruntime-web": "{runtime.VERSION}"' in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/')


@pytest.mark.web
@pytest.mark.skipif(NODE is None, reason="needs node")
def test_page_of_the_starter_is_at_most_10_mb_over_brotli(starter_page: Artifact) -> None:
    assert NODE is not None
    command = [NODE, str(Path(__file__).with_name("brotli_size.mjs")), str(starter_page.path)]
    size = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert 8_000_000 < size < 10_000_000
