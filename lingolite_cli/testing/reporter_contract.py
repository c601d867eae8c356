"""The contract of reporters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from lingolite_cli.runs.record import RunManifest
from lingolite_cli.testing.contract import Contract
from lingolite_cli.testing.sample_run import sample_run, sample_stop

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Reporter


class ReporterContract(Contract):
    """Everything that the host relies on in a reporter."""

    kind = "reporter"

    @pytest.fixture
    def reporter(self) -> Reporter:
        """The reporter under test."""
        return cast("Reporter", self.loaded().create(options=self.options))

    @pytest.mark.parametrize(
        "make",
        [sample_run, partial(sample_run, has_verdicts=False), sample_stop],
        ids=["verdicts", "no-verdicts", "stopped"],
    )
    def test_what_it_names_is_what_it_writes(
        self, reporter: Reporter, tmp_path: Path, make: Callable[[Path], RunManifest]
    ) -> None:
        directory = tmp_path / "run"
        directory.mkdir()
        manifest = make(directory)
        before, told = _contents(directory), msgspec.json.encode(manifest)
        named = reporter.report(manifest, directory)
        after = _contents(directory)
        assert {path.resolve() for path in named} == {
            directory.resolve() / name for name in after.keys() - before.keys()
        }
        assert {name: after.get(name) for name in before} == before, "what the run wrote stays as it is"
        assert msgspec.json.encode(manifest) == told
        assert all(after[name] for name in after.keys() - before.keys()), "no file is empty"

    def test_a_run_that_is_read_again_gives_the_same_bytes(self, reporter: Reporter, tmp_path: Path) -> None:
        """Whole numbers come back from JSON as such, and time passes."""
        seen = []
        for name in ("now", "later"):
            directory = tmp_path / name
            directory.mkdir()
            manifest = sample_run(directory)
            if name == "later":
                manifest = msgspec.json.decode(msgspec.json.encode(manifest), type=RunManifest)
            assert reporter.report(manifest, directory)
            seen.append(_contents(directory))
        assert seen[0] == seen[1]


def _contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
