"""Full disks by the words of each library that meets one, and what is none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import check_writable, explained, full_disk


def copied(source: str, target: str) -> OSError:
    """As `shutil.copyfile` raises it."""
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)
    error.filename2 = target
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/file"), "no room is left on the disk: /a/file"),
        (copied("/a/source", "/b/target"), "no room is left on the disk: /b/target"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/file"), "the quota on the disk is used up: /a/file"),
        (OSError("4096 requested and 512 written"), "no room is left on the disk: while writing"),
        (
            RuntimeError('Error while serializing: I/O error: Os { code: 28, message: "No space left on device" }'),
            "no room is left on the disk: while writing",
        ),
        (ValueError("failed: File too large (os error 27)"), "a file would be larger than this process may write"),
    ],
)
def test_full_disk_is_told_in_our_words(tmp_path: Path, error: Exception, said: str) -> None:
    with pytest.raises(LingoLiteError) as caught, explained(tmp_path):
        raise error
    assert caught.value.message.startswith(said)
    assert str(caught.value.hint).endswith("then run the same command again: what was finished is kept")
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [OSError(errno.ENOENT, "No such file", "/a"), ValueError("written"), KeyError("a")])
def test_other_errors_are_none(tmp_path: Path, error: Exception) -> None:
    assert full_disk(error, [tmp_path]) is None
    with pytest.raises(type(error)), explained(tmp_path):
        raise error


def test_file_in_the_way_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(LingoLiteError, match="runs: it is not a directory"):
        check_writable(tmp_path / "runs" / "small")
    check_writable(tmp_path / "not" / "yet" / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
