"""The sample log: bounded, whole lines, texts only on request, and read again."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.serving.sample import (
    SampledRequest,
    SampledSentence,
    SampleLog,
    SampleLogOptions,
    read_sample_logs,
    rotated_logs,
)


def request(number: int = 0) -> SampledRequest:
    sentence = SampledSentence(
        source_characters=4,
        target_characters=5,
        source_tokens=2,
        target_tokens=3,
        log_probability=-0.5,
        faults=("loops",),
        source="secret",
        translation="hemmelig",
    )
    return SampledRequest(
        time=f"2026-11-30T10:00:{number % 60:02}.000+00:00",
        model="0123456789abcdef",
        outcome="done",
        languages=("en", "da"),
        latency_ms=float(number),
        sentences=(sentence,),
    )


def written(path: Path, numbers: range, **options: object) -> SampleLog:
    log = SampleLog(SampleLogOptions(path=str(path), **options))  # type: ignore[arg-type]
    for number in numbers:
        log.write(request(number))
    return log


def test_texts_are_in_the_log_only_where_they_are_asked_for(tmp_path: Path) -> None:
    written(tmp_path / "without", range(1)).close()
    written(tmp_path / "with", range(1), has_texts=True).close()
    assert "secret" not in (tmp_path / "without").read_text()
    assert list(read_sample_logs([tmp_path / "with"])) == [request()]


def test_each_line_is_in_the_file_when_its_request_is_answered(tmp_path: Path) -> None:
    log = written(tmp_path / "log", range(3))
    assert len((tmp_path / "log").read_text().splitlines()) == 3
    log.close()


def test_the_files_are_bounded_and_read_oldest_first(tmp_path: Path) -> None:
    written(tmp_path / "log", range(100), max_mb=0.002, num_kept=3).close()
    logs = rotated_logs(tmp_path / "log")
    assert [path.name for path in logs] == ["log.3", "log.2", "log.1", "log"]
    assert all(path.stat().st_size <= 2000 for path in logs)
    latencies = [one.latency_ms for one in read_sample_logs(logs)]
    assert latencies == sorted(latencies)
    assert latencies[-1] == 99.0


def test_a_share_is_taken_evenly(tmp_path: Path) -> None:
    written(tmp_path / "log", range(100), share=0.25).close()
    assert [one.latency_ms for one in read_sample_logs([tmp_path / "log"])] == [*map(float, range(3, 100, 4))]


@pytest.mark.parametrize("kept", [1, 60, -20, -3, -2])  # -3: behind the brace of a sentence
def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path, kept: int) -> None:
    path, remarks = tmp_path / "log", list[str]()
    written(path, range(2)).close()
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:kept])
    assert [one.latency_ms for one in read_sample_logs([path])] == [0.0], "while its writer still writes"
    written(path, range(2, 3)).close()
    assert [one.latency_ms for one in read_sample_logs([path, path], told=remarks.append)] == [0.0, 2.0] * 2
    assert remarks == [f"{path}, line 2, was cut short and is left out"] * 2


def test_a_disk_without_room_loses_lines_and_no_request(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    log = written(tmp_path / "log", range(1))
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "log").stat().st_size, limits[1]))
    try:
        log.write(request(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heard)
    assert log.num_lost == 1
    log.write(request(2))
    log.close()
    assert [one.latency_ms for one in read_sample_logs([tmp_path / "log"])] == [0.0, 2.0]


def test_other_files_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(LingoLiteError, match="not a sample log: line 1"):
        list(read_sample_logs([path]))


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="the sample log cannot be written"):
        written(tmp_path / "missing" / "log", range(0))
