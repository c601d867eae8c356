"""Temporary directories of killed processes are cleared by the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment

from lingolite_cli.files.scratch import scratch_directory

HOLDER = """
import sys
from lingolite_cli.files.scratch import scratch_directory
with scratch_directory() as directory:
    (directory / "half").write_text("half")
    print(directory, flush=True)
    sys.stdin.read()
"""


def test_next_process_clears_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=environment(variables={"TMPDIR": str(tmp_path)}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        other = Path(process.stdout.readline().strip())
        with scratch_directory() as own:
            assert (other / "half").exists(), "its process lives"
            assert own != other
        process.kill()
        process.wait()
    assert (other / "half").exists()
    with scratch_directory() as own:
        assert not other.exists()
    assert list(tmp_path.iterdir()) == []
