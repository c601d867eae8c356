"""Translates many lines into a corpus, kills the job and its workers, and compares bytes, memory and throughput.

    python tests/simulations/corpus_translation.py work --lines 100000 --kills 3 --ray

WORK is a directory for all that is made; of an earlier call, only the exported model is used again. Lines are the
sources of the starter's development set, each time with another number, so that no two are alike. Prints a line for
each finding. Linux only: memory and processor time are read from /proc.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "recipes" / "starter-en-da"


class Measured(NamedTuple):
    """A finished command: its time, the processor time of all its processes, and the memory of the host over time."""

    seconds: float
    cpu_seconds: float
    memory_mb: list[float]


def make_text(path: Path, num_lines: int) -> None:
    """Real sentences, repeated with a number in each."""
    sources = [line.split("\t")[0] for line in (STARTER / "dev.en-da.tsv").read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as stream:
        for number in range(num_lines):
            source = sources[number % len(sources)]
            repeated = number // len(sources)
            stream.write(f"{source}\n" if not repeated else f"{source} {repeated}\n")


def command(*arguments: str | Path) -> list[str]:
    """The command on the starter's model, exported once."""
    return [sys.executable, "-m", "lingolite_cli", *map(str, arguments)]


def measured(arguments: Sequence[str | Path], cwd: Path, *, stdout: Path | None = None) -> Measured:
    """Run a command to its end."""
    before, started = _children_cpu(), time.perf_counter()
    memory: list[float] = []
    with (stdout or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(command(*arguments), cwd=cwd, stdout=out, stderr=subprocess.DEVNULL)
        watcher = threading.Thread(target=lambda: memory.extend(_memory_of(process)))
        watcher.start()
        assert process.wait() == 0, arguments
        watcher.join()
    return Measured(time.perf_counter() - started, _children_cpu() - before, memory)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory_of(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """Resident memory of a process in MB, twice a second."""
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return
        found = re.search(r"VmRSS:\s+(\d+)", status)
        if found:
            yield int(found[1]) * 1024 / 1e6
        time.sleep(0.5)


def contents(directory: Path) -> dict[str, bytes]:
    """Shards and manifest."""
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.suffix in (".gz", ".json")}


def num_finished(out: Path) -> int:
    """Shards in the journal."""
    journal = out / "job.jsonl"
    return len(journal.read_bytes().splitlines()) - 1 if journal.exists() else 0


def killed(arguments: Sequence[str | Path], cwd: Path, out: Path, *, at_shard: int) -> int:
    """Start a job, end it with SIGKILL when so many shards are finished, and return how many were."""
    process = subprocess.Popen(command(*arguments), cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while num_finished(out) < at_shard and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    return num_finished(out)


def kill_one_actor(out: Path, *, at_shard: int, done: threading.Event) -> None:
    """When so many shards are finished, end the process of one of Ray's actors."""
    while num_finished(out) < at_shard and not done.is_set():
        time.sleep(0.05)
    for entry in Path("/proc").iterdir():
        try:
            name = (entry / "cmdline").read_bytes()
            is_ours = str(out.parent).encode() in os.fsencode(os.readlink(entry / "cwd"))
        except (OSError, ValueError):
            continue
        if name.startswith(b"ray::HandlerActor") and is_ours:
            os.kill(int(entry.name), signal.SIGKILL)
            print(f"killed {name[:40].decode()} when {num_finished(out)} shards were finished")
            return
    print("no actor was found to kill")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--shard-lines", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for name in ("whole", "killed", "ray", "ray-killed"):
        shutil.rmtree(work / name, ignore_errors=True)
    text = work / "text.en"
    make_text(text, options.lines)
    onnx = work / "onnx"
    if not onnx.exists():
        model = STARTER / "model"
        subprocess.run(
            command("quantize", "--model", model, "--method", "dynamic-int8", "--out", work / "int8"),
            check=True,
            cwd=work,
        )
        subprocess.run(
            command("export", "--model", work / "int8", "--out", onnx, "--option", "profile=optimized"),
            check=True,
            cwd=work,
        )
    common = ["translate", "--model", onnx, "--file", text, "--workers", options.workers]
    common = [str(part) for part in common]

    def job(out: Path, *further: str) -> list[str]:
        return [*common, "--out", str(out), "--shard-lines", str(options.shard_lines), *further]

    lines = options.lines
    plain = measured(common, work, stdout=work / "plain.da")
    print(f"translate --workers: {lines / plain.seconds:.1f} lines/s, {plain.cpu_seconds:.1f} s of processor time")
    whole = measured(job(work / "whole"), work)
    print(
        f"translate --out: {lines / whole.seconds:.1f} lines/s, {whole.cpu_seconds:.1f} s of processor time; "
        f"{plain.seconds / whole.seconds:.3f} of the throughput, {plain.cpu_seconds / whole.cpu_seconds:.3f} by time"
    )
    steady = whole.memory_mb[len(whole.memory_mb) // 5 :]
    print(f"memory of the host: {min(steady):.1f} to {max(steady):.1f} MB after the first fifth")
    expected = contents(work / "whole")
    num_shards = -(-lines // options.shard_lines)
    out = work / "killed"
    before = 0
    for kill in range(options.kills):
        at_shard = num_shards * (kill + 1) // (options.kills + 1)
        found = killed(job(out), work, out, at_shard=at_shard)
        assert found >= before
        print(f"killed when {found} of {num_shards} shards were finished; {before} were there at its start")
        before = found
    measured(job(out), work)
    print(f"killed {options.kills} times: {'the same bytes' if contents(out) == expected else 'OTHER BYTES'}")
    if options.ray:
        ray = measured(job(work / "ray", "--executor", "ray"), work)
        same = "the same bytes" if contents(work / "ray") == expected else "OTHER BYTES"
        print(f"ray: {lines / ray.seconds:.1f} lines/s, {ray.seconds / whole.seconds:.3f} of the time of local; {same}")
        done = threading.Event()
        out = work / "ray-killed"
        killer = threading.Thread(target=lambda: kill_one_actor(out, at_shard=num_shards // 2, done=done))
        killer.start()
        measured(job(out, "--executor", "ray"), work)
        done.set()
        killer.join()
        print(f"ray, an actor killed: {'the same bytes' if contents(out) == expected else 'OTHER BYTES'}")


if __name__ == "__main__":
    main()
