"""Leases: what a dead process left is cleared, what a living one holds stays, whatever its process id is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import environment

from lingolite_cli.files.lease import leased, sweep_dead

HOLDER = """
import sys
from pathlib import Path
from lingolite_cli.files.lease import leased
with leased(Path(sys.argv[1]), "stem") as lease:
    lease.path(".files").mkdir()
    (lease.path(".files") / "half").write_text("half")
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(directory: Path, *before: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lease in `directory`, started by the command `before`."""
    with subprocess.Popen(
        [*before, sys.executable, "-c", HOLDER, str(directory)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_lease_of_a_living_process_stays_and_that_of_a_dead_one_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "stem.notes").write_text("not leased")
    with holder(tmp_path) as process:
        assert sweep_dead(tmp_path) == 0
        (half,) = tmp_path.glob("*.files/half")
        process.kill()
        process.wait()
        assert half.exists(), "nobody cleared it"
        assert sweep_dead(tmp_path, stem="another") == 0
        assert sweep_dead(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["stem.notes"]


def test_process_of_another_container_is_alive(tmp_path: Path) -> None:
    """In a PID namespace of its own it has a number that is another process, or none, out here."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine makes no PID namespaces")
    with holder(tmp_path, *unshare):
        assert sweep_dead(tmp_path) == 0
        assert len(list(tmp_path.glob("*.files/half"))) == 1


def test_lease_that_is_released_leaves_nothing(tmp_path: Path) -> None:
    with leased(tmp_path, "stem") as lease:
        lease.path(".files").mkdir()
        assert sweep_dead(tmp_path) == 0, "this process lives"
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    """The directory for temporary files is everybody's."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    place = tmp_path / "place"
    place.mkdir()
    name = "stem." + "0" * 12
    (place / f"{name}.lease").symlink_to(precious / "file")
    (place / f"{name}.files").symlink_to(precious)
    assert sweep_dead(place) == 0
    assert (precious / "file").read_text() == "kept"
