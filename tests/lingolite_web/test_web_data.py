"""What a page says besides its graphs is held against the bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from lingolite_web import runtime
from lingolite_web.data import data_differences

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import convert_with, converter, follow
from tests.lingolite_cli.evaluation.planted_data import appended, edited
from tests.lingolite_cli.evaluation.planted_faults import plant

FAULTS = [
    (edited("translator.json", lambda one: one["tokenizer"].__setitem__("max_length", 7)), "tokenizer.max_length is 7"),
    (edited("translator.json", lambda one: one["decoding"].__setitem__("max_length", 7)), "decoding.max_length is 7"),
    (edited("translator.json", lambda one: one["downloads"].pop()), "translator.json: downloads has 4 entries, not 5"),
    (edited("lingolite.json", lambda one: one["details"].__setitem__("bundle", "0" * 64)), "details.bundle is"),
    (appended("tokenizer.js"), "tokenizer.js is not the file that was exported"),
    (appended("manifest.webmanifest"), "manifest.webmanifest is not the file that was exported"),
    (appended("files.js"), "files.js is not the file that was exported"),
    (appended(f"runtime/{runtime.BINARY}"), "wasm is not that of onnxruntime-web"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """The small bundle in int8, and a page of it. Its runtime runs nothing: these tests open no browser."""
    root = tmp_path_factory.mktemp("page")
    bundle = follow(("dynamic-int8",), root)
    onnx = convert_with(converter("onnx"), bundle, root / "onnx")
    content = {name: name.encode() for name in runtime.DIGESTS}
    (root / "runtime").mkdir()
    for name, data in content.items():
        (root / "runtime" / name).write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        for name, data in content.items():
            patch.setitem(runtime.DIGESTS, name, hashlib.sha256(data).hexdigest())
        made = convert_with(converter("web"), onnx, root / "page", options={"runtime": str(root / "runtime")})
    return bundle, made


@pytest.fixture(autouse=True)
def _own_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in runtime.DIGESTS:
        monkeypatch.setitem(runtime.DIGESTS, name, hashlib.sha256(name.encode()).hexdigest())


@pytest.mark.parametrize(("fault", "line"), FAULTS, ids=[line for _, line in FAULTS])
def test_what_is_not_the_bundles_is_named(
    fault: Callable[[Path], None], line: str, page: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    bundle, made = page
    assert data_differences(made, bundle) == []
    found = data_differences(plant(made, tmp_path / "faulty", fault), bundle)
    assert any(line in one for one in found), found
