"""The lock between processes: one at a time, told when it waits, and given back by a process that dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from command_line import environment

from lingolite_cli.files.lock import exclusive

HOLDER = """
import sys
from pathlib import Path
from lingolite_cli.files.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_is_waited_for_until_its_holder_dies(tmp_path: Path) -> None:
    path = tmp_path / "made" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited = []

        def end_the_holder() -> None:
            waited.append("waiting")
            holder.kill()

        with exclusive(path, waiting=end_the_holder):
            assert waited == ["waiting"]
    with exclusive(path, waiting=end_the_holder):
        assert waited == ["waiting"], "nobody holds it any more"
