"""The way over a Mac: the backend `coreml`, the script that a Mac's owner runs, and the result that `verify` reads.

Core ML itself is not on this system: its interface is given over the interpreter, which computes the programs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from command_line import Outcome

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.routes import convert_with, converter, registry
from tests.lingolite_coreml.translating import translations

pytest.importorskip("coremltools", reason='coremltools is not installed: pip install -e ".[coreml]"')
pytestmark = pytest.mark.coreml

import coremltools  # noqa: E402
from lingolite_coreml.backend import CoreMLBackend  # noqa: E402
from lingolite_coreml.options import CoreMLBackendOptions  # noqa: E402

from tests.lingolite_coreml.core_ml import MLModel  # noqa: E402

_STAND_IN = """\
import coremltools
from tests.lingolite_coreml.core_ml import MLModel
coremltools.models.MLModel = MLModel
"""


@pytest.mark.parametrize("options", [{}, {"target": "ios16"}], ids=["states", "ios16"])
def test_the_backend_asks_core_ml_for_what_the_reference_computes(
    monkeypatch: pytest.MonkeyPatch, tiny: Artifact, tmp_path: Path, options: dict[str, Any]
) -> None:
    exported = convert_with(converter("coreml"), tiny, tmp_path / "exported", options=options)
    monkeypatch.setattr(coremltools.models, "MLModel", MLModel)
    backend = CoreMLBackend(exported, options=CoreMLBackendOptions(), threads=1)
    reference = registry().resolve("backend", "coreml-reference").create(exported, threads=1)
    ids, mask = np.array([[5, 6, 7, 8], [9, 10, 0, 0]]), np.array([[True] * 4, [True, True, False, False]])
    found, expected = (engine.encode(ids, mask) for engine in (backend, reference))
    for rows in ([0, 1], [1, 1, 0], [2, 0]):
        found, expected = (
            engine.select(state, np.array(rows)) for engine, state in ((backend, found), (reference, expected))
        )
        tokens = np.arange(len(rows)) + 11
        np.testing.assert_array_equal(backend.step(found, tokens), reference.step(expected, tokens))


@pytest.fixture(scope="module")
def exported(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny bundle as a Core ML program."""
    path = tmp_path_factory.mktemp("exported") / "coreml"
    return convert_with(converter("coreml"), tiny, path, options={"compute": "float32"})


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text that is verified."""
    path = tmp_path_factory.mktemp("text") / "test.tsv"
    lines = ["The boat sails at noon.\tBåden.", "Where is the harbour?\tHvor?", "She reads.\tHun.", "We ate.\tVi."]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def for_mac(exported: Artifact, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """What the Mac's owner is given."""
    path = tmp_path_factory.mktemp("for-mac") / "directory"
    return convert_with(converter("coreml-on-mac"), exported, path, options={"sentences": str(text)})


def _run(directory: Path, out: Path, *arguments: str, work: Path) -> subprocess.CompletedProcess[str]:
    """The script as the Mac's owner runs it, where coremltools asks the interpreter in the place of Core ML."""
    (work / "sitecustomize.py").write_text(_STAND_IN)
    root = Path(__file__).parents[2]
    path = os.pathsep.join(map(str, (work, root, root / "plugins")))
    return subprocess.run(
        [sys.executable, "-W", "ignore", str(directory / "run_on_mac.py"), "--out", str(out), *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def result(for_mac: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What came back."""
    work = tmp_path_factory.mktemp("mac")
    run = _run(for_mac.path, work / "result.json", work=work)
    assert run.returncode == 0, run.stderr
    assert "4 sentences, median" in run.stdout
    return work / "result.json"


def test_the_directory_holds_what_the_script_needs_and_no_more(for_mac: Artifact) -> None:
    names = {name.partition("/")[0] for name in for_mac.manifest.files}
    assert names == {"model.mlpackage", "interface.json", "sentences.json", "run_on_mac.py", "tokenizer.model"}


def test_recorded_translations_are_those_of_the_reference(exported: Artifact, result: Path) -> None:
    recorded = json.loads(result.read_text())["translations"]
    backend = registry().resolve("backend", "coreml-reference").create(exported, threads=1)
    for one in recorded:
        state = backend.encode(np.array([one["ids"]]), np.ones((1, len(one["ids"])), np.bool_))
        token, total = 1, 0.0
        for expected in one["tokens"]:
            logits = backend.step(state, np.array([token]))[0].astype(np.float64)
            assert int(logits.argmax()) == expected
            total += logits[expected] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
            token = expected
        assert one["log_probability"] == pytest.approx(total, abs=1e-4)


def _verify(lingolite: Callable[..., Outcome], exported: Artifact, tiny: Artifact, text: Path, *more: str) -> Outcome:
    return lingolite(
        *("verify", exported.path, "--model", tiny.path, "--bundle", tiny.path, "--source", text, "--json"),
        *("--languages", "en-da", "--reference-backend", "cached", "--candidate-backend", "coreml-recorded", *more),
    )


def test_verify_judges_the_result_by_the_same_budgets(
    lingolite: Callable[..., Outcome], exported: Artifact, tiny: Artifact, text: Path, result: Path
) -> None:
    budgets = ("--budget", "exact_match_min=1", "--budget", "latency_p50_ms_max=1e9", "--allow-implausible-reference")
    seen = _verify(lingolite, exported, tiny, text, "--candidate-option", f"result={result}", *budgets)
    assert seen.code == 0, seen.out + seen.err
    found = json.loads(seen.out)
    verdicts = {verdict["budget"]: verdict["status"] for verdict in found["verdicts"]}
    assert verdicts.keys() >= {"exact_match_min", "latency_p50_ms_max", "exported_parity_min"}
    assert "compute units ALL" in found["timing"]["machine"]
    assert len(found["timing"]["systems"][0]["rounds"]) == 6
    slow = _verify(
        lingolite, exported, tiny, text, "--candidate-option", f"result={result}", "--budget", "latency_p50_ms_max=1e-9"
    )
    assert slow.code == 3


def test_times_are_not_judged_on_too_few_rounds(
    lingolite: Callable[..., Outcome], exported: Artifact, tiny: Artifact, text: Path, result: Path, tmp_path: Path
) -> None:
    record = json.loads(result.read_text())
    few = tmp_path / "few.json"
    few.write_text(json.dumps(record | {"rounds": record["rounds"][:2]}))
    option = ("--candidate-option", f"result={few}", "--budget", "latency_p50_ms_max=1e9")
    seen = _verify(lingolite, exported, tiny, text, *option)
    assert seen.code == 2
    assert "was timed in 2 rounds" in seen.err


def test_ratios_of_times_on_two_machines_are_refused(
    lingolite: Callable[..., Outcome], exported: Artifact, tiny: Artifact, text: Path, result: Path
) -> None:
    option = ("--candidate-option", f"result={result}", "--budget", "latency_p50_ratio_max=1")
    seen = _verify(lingolite, exported, tiny, text, *option)
    assert seen.code == 2
    assert "were taken on another machine" in seen.err


def test_other_sentences_than_were_run_are_refused(
    lingolite: Callable[..., Outcome], exported: Artifact, tiny: Artifact, tmp_path: Path, result: Path
) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("Nothing is as quiet as snow!\tIntet.\n", encoding="utf-8")
    seen = _verify(lingolite, exported, tiny, other, "--candidate-option", f"result={result}")
    assert seen.code == 2
    assert "it was made on other sentences" in seen.err


def test_a_result_is_not_benchmarked(
    lingolite: Callable[..., Outcome], exported: Artifact, text: Path, result: Path
) -> None:
    system = f"coreml-recorded@{exported.path},result={result}"
    seen = lingolite("bench", "--model", exported.path, "--system", system, "--source", text)
    assert seen.code == 2
    assert "its times are in its record" in seen.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record | {"artifact": "0" * 64}, "is the result of another artifact"),
        (lambda record: record | {"files": {}}, "is the result of another artifact"),
        (lambda record: record | {"rounds": "soon"}, "is not a result of run_on_mac.py"),
        (lambda record: record | {"translations": []}, "lacks translations"),
        (lambda record: [record], "is not a result of run_on_mac.py"),
    ],
    ids=["another artifact", "other packages", "no rounds", "no translations", "a list"],
)
def test_what_is_not_the_result_of_this_artifact_is_refused(
    exported: Artifact, result: Path, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    changed = tmp_path / "changed.json"
    changed.write_bytes(msgspec.json.encode(change(json.loads(result.read_text()))))
    with pytest.raises(LingoLiteError, match=message):
        translations(exported, "coreml-recorded", {"result": str(changed)})


def test_the_script_refuses_changed_packages_and_a_result_that_is_there(
    for_mac: Artifact, result: Path, tmp_path: Path
) -> None:
    again = _run(for_mac.path, result, work=tmp_path)
    assert again.returncode == 2
    assert "exists" in again.stderr
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run_on_mac.py", "sentences.json", "interface.json"):
        (copy / name).write_bytes((for_mac.path / name).read_bytes())
    changed = _run(copy, tmp_path / "result.json", work=tmp_path)
    assert changed.returncode == 2
    assert "are not those that sentences.json was made for" in changed.stderr
