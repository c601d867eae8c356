"""A backend in a process of its own answers as it does here."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.forced import forced_agreement
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.routes import follow
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.workers.channel import _receive
from lingolite_cli.workers.isolation import IsolatedBackend
from lingolite_cli.workers.protocol import Open


def request(artifact: Artifact, **changes) -> Open:
    whole = {"artifact": str(artifact.path), "backend": "onnx", "options": {}, "threads": 1, "blocked": []}
    return Open(**{**whole, **changes})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root: Path = tmp_path_factory.mktemp("isolated")
    return follow(("onnx",), root)


@pytest.fixture(scope="module")
def isolated(exported: Artifact) -> Iterator[IsolatedBackend]:
    with closing(IsolatedBackend(request(exported))) as backend:
        yield backend


def test_logits_are_those_of_this_process(isolated: IsolatedBackend, exported: Artifact) -> None:
    here = load_registry().resolve("backend", "onnx").create(exported, threads=1)
    ids = np.array([[6, 4, 9, 2, 7], [6, 4, 8, 8, 0]])
    mask = ids > 0
    found = []
    for backend in (here, isolated):
        state = backend.encode(ids, mask)
        logits = [backend.step(state, np.full(2, IDS.start)).copy(), backend.step(state, np.array([9, 4])).copy()]
        other = backend.encode(ids[:1], mask[:1])  # two states at once
        state = backend.select(state, np.array([1, 0, 1]))
        logits += [backend.step(state, np.array([5, 6, 7])).copy(), backend.step(other, np.array([IDS.start])).copy()]
        found.append(logits)
    for one, same in zip(*found, strict=True):
        np.testing.assert_array_equal(one, same)


def test_what_is_ranked_first_is_counted_where_the_logits_are(
    isolated: IsolatedBackend, exported: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = load_registry().resolve("backend", "onnx").create(exported, threads=1)
    ids = np.array([[6, 4, 9, 2, 7], [6, 4, 8, 8, 0], [5, 0, 0, 0, 0]])
    targets = [(4, 9, 2), (7,), (3, 3, 8, 5, 2)]
    received = []

    def receive(stream):
        received.extend(_receive(stream))
        return received

    monkeypatch.setattr("lingolite_cli.workers.channel._receive", receive)
    found = isolated.agreement(ids, ids > 0, targets=targets, ids=IDS)
    assert found == forced_agreement(here, ids, ids > 0, targets=targets, ids=IDS)
    assert (found.num_tokens, found.max_margin > 0) == (9, True)
    assert sum(map(len, received)) < 4 * exported.manifest.model.vocab_size  # not one row of logits


def test_states_that_nobody_holds_are_forgotten(isolated: IsolatedBackend) -> None:
    kept = isolated.encode(np.array([[5]]), np.array([[True]]))
    lost = isolated.encode(np.array([[5]]), np.array([[True]])).number
    gc.collect()
    isolated.step(kept, np.array([IDS.start]))
    gone = isolated.encode(np.array([[5]]), np.array([[True]]))
    gone.number = lost
    with pytest.raises(LingoLiteError, match=f"KeyError: {lost}"):
        isolated.step(gone, np.array([IDS.start]))


def test_an_error_there_is_an_error_here(isolated: IsolatedBackend, exported: Artifact) -> None:
    too_long = np.full((1, 1000), 5)
    with pytest.raises(LingoLiteError, match="a source of 1000 tokens lies beyond") as raised:
        isolated.encode(too_long, too_long > 0)
    assert raised.value.hint is not None
    with pytest.raises(LingoLiteError, match="nosuch"):
        IsolatedBackend(request(exported, backend="nosuch"))


def test_a_process_that_died_is_an_error(exported: Artifact) -> None:
    with closing(IsolatedBackend(request(exported))) as backend:
        backend._child.kill()
        with pytest.raises(LingoLiteError, match="`onnx` in a fresh process: its process died with exit code -9"):
            backend.encode(np.array([[5]]), np.array([[True]]))


def test_modules_of_the_working_directory_are_not_imported(
    exported: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("runpy", "uuid", "lingolite_cli"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with closing(IsolatedBackend(request(exported))) as backend:
        assert backend.encode(np.array([[5]]), np.array([[True]])).number == 0


def test_a_file_that_was_changed_is_refused_there(exported: Artifact, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in exported.path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "decoder.onnx").write_bytes((copy / "decoder.onnx").read_bytes() + b"\x00")
    with pytest.raises(LingoLiteError, match=r"decoder\.onnx has"):
        IsolatedBackend(request(Artifact(copy, exported.manifest)))
