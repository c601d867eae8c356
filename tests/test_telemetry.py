"""Nothing is sent, and nothing that waits to be sent is written: by LingoLite, its processes, and each engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import UNDER_TEST

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import converter, follow

ENGINES = ("torch", "onnxruntime", "ctranslate2", "sentencepiece", "sacrebleu")
VARIABLE = "ORT_DISABLE_TELEMETRY"


def run(*arguments: str | Path, home: Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty home, where `variables` are all that the user has set."""
    home.mkdir(exist_ok=True)
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    path = os.pathsep.join(map(str, UNDER_TEST))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**inherited, "HOME": str(home), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )


def written(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle in ONNX."""
    assert converter("onnx")
    return follow(("onnx",), tmp_path_factory.mktemp("telemetry")).path


@pytest.mark.skipif(sys.platform != "linux", reason="ONNX Runtime's wheel for Linux is meant")
def test_the_engine_would_write_without_the_switch(tmp_path: Path) -> None:
    """So that the tests below would notice. The engine may do without one day; then this one is skipped."""
    run("-c", "import onnxruntime", home=tmp_path / "home", cwd=tmp_path)
    if not written(tmp_path / "home"):
        pytest.skip("this onnxruntime writes nothing")
    assert any(name.endswith("onnxruntime.db") for name in written(tmp_path / "home"))


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_writes_into_the_home_of_its_user(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    run("-c", f"import lingolite_cli, {engine}", home=tmp_path / "home", cwd=tmp_path)
    assert written(tmp_path / "home") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("translate", "Hi", "--model", "MODEL", "--backend", "onnx"),
        ("translate", "Hi", "--model", "MODEL", "--backend", "onnx", "--workers", "2"),
        ("doctor",),
        ("eval", "--model", "MODEL", "--backend", "onnx"),
    ],
    ids=lambda arguments: " ".join(arguments).replace("MODEL", "DIR"),
)
def test_no_command_writes_into_the_home_of_its_user(
    arguments: tuple[str, ...], exported: Path, project: Path, tmp_path: Path
) -> None:
    asked = [str(exported) if argument == "MODEL" else argument for argument in arguments]
    run("-m", "lingolite_cli", *asked, home=tmp_path / "home", cwd=project)
    assert written(tmp_path / "home") == []


def test_the_python_api_writes_nothing_either(exported: Path, project: Path, tmp_path: Path) -> None:
    script = f"import lingolite_cli; lingolite_cli.translate('Hi', model={str(exported)!r}, backend='onnx')"
    run("-c", script, home=tmp_path / "home", cwd=project)
    assert written(tmp_path / "home") == []


@pytest.mark.parametrize("module", ["lingolite_cli", "lingolite_onnx", "lingolite_cli.workers.worker"])
def test_the_switch_is_set_before_any_engine_can_be_imported(module: str, tmp_path: Path) -> None:
    script = f"import os, sys, {module}; print(os.environ[{VARIABLE!r}], 'onnxruntime' in sys.modules)"
    assert run("-c", script, home=tmp_path / "home", cwd=tmp_path).stdout.split() == ["1", "False"]


def test_the_word_of_the_user_stands(tmp_path: Path) -> None:
    script = f"import os, lingolite_cli; print(os.environ[{VARIABLE!r}])"
    found = run("-c", script, home=tmp_path / "home", cwd=tmp_path, **{VARIABLE: "0"})
    assert found.stdout.split() == ["0"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_engine_asks_the_network(tiny: Artifact, exported: Path, project: Path, tmp_path: Path) -> None:
    """Every system call of every thread, for longer than ONNX Runtime waits before it looks its host up."""
    script = (
        "import time, lingolite_cli, torch, onnxruntime, ctranslate2, sentencepiece, sacrebleu\n"
        f"lingolite_cli.translate('Hi', model={str(exported)!r}, backend='onnx')\n"
        f"lingolite_cli.translate('Hi', model={str(tiny.path)!r}, backend='cached')\n"
        "end = time.thread_time() + 12\n"
        "while time.thread_time() < end: pass\n"
    )
    pytest.importorskip("ctranslate2")
    log = tmp_path / "calls"
    traced = "import subprocess, sys; subprocess.run(sys.argv[1:], check=True)"
    command = ["strace", "-f", "-e", "trace=network", "-o", log, sys.executable, "-c", script]
    run("-c", traced, *command, home=tmp_path / "home", cwd=project)
    assert [line for line in log.read_text(encoding="utf-8").splitlines() if "AF_INET" in line] == []
