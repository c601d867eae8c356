"""Translates many lines into a corpus, kills the job and its workers, and compares bytes, memory and throughput.

    python tests/simulations/corpus_translation.py work --lines 100000 --kills 3 --ray
    python tests/simulations/corpus_translation.py work --lines 1000000 --text news.en-da.tsv.gz --compare-lines 50000

WORK is a directory for all that is made; of an earlier call, only the exported model is used again. Lines are the
sources of the starter's development set, or of the files given by `--text`, each time with another number, so that no
two are alike. Prints a line for each finding. Linux only: memory and processor time are read from /proc.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

from lingolite_cli.files.text import lines_of
from lingolite_cli.views.charts import FORMATS, check_plot_target, start_at_zero
from lingolite_cli.views.drawing import figure_file

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "recipes" / "starter-en-da"
_MARK = "LINGOLITE_MEASURED"
"""A variable of the environment by which the processes of a command are known."""


class Sample(NamedTuple):
    """Resident memory of a process after so many seconds."""

    seconds: float
    megabytes: float


class Measured(NamedTuple):
    """A finished command: its time, the processor time of all its processes, and the memory of the host over time."""

    seconds: float
    cpu_seconds: float
    memory: list[Sample]


def make_text(path: Path, num_lines: int, texts: Sequence[Path]) -> None:
    """Real sentences, repeated with a number in each, no two alike."""
    sources = list(dict.fromkeys(source for text in texts for source in _sources(text)))
    seen: set[bytes] = set()
    with path.open("w", encoding="utf-8") as stream:
        for line in _repeated(sources):
            identity = hashlib.blake2b(line.encode(), digest_size=8).digest()
            if identity not in seen:
                seen.add(identity)
                stream.write(f"{line}\n")
            if len(seen) == num_lines:
                return


def _sources(path: Path) -> Iterator[str]:
    for line in lines_of(path):
        yield line.decode("utf-8").rstrip("\r\n").split("\t")[0]


def _repeated(sources: Sequence[str]) -> Iterator[str]:
    for repeated in count():
        for source in sources:
            yield f"{source} {repeated}" if repeated else source


def first_lines(path: Path, num_lines: int, to: Path) -> Path:
    """A text's first lines, as a text."""
    with path.open("rb") as stream, to.open("wb") as out:
        out.writelines(islice(stream, num_lines))
    return to


def command(*arguments: str | Path) -> list[str]:
    """The command on the starter's model, exported once."""
    return [sys.executable, "-m", "lingolite_cli", *map(str, arguments)]


def measured(arguments: Sequence[str | Path], cwd: Path, *, stdout: Path | None = None) -> Measured:
    """Run a command to its end."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    started = time.perf_counter()
    with (stdout or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(
            command(*arguments), cwd=cwd, stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, _MARK: mark}
        )
        watched = _Watched(process, mark)
        watched.start()
        assert process.wait() == 0, arguments
        watched.join()
    return Measured(time.perf_counter() - started, sum(watched.cpu_seconds.values()), watched.memory)


class _Watched(threading.Thread):
    """Looks twice a second at a command: its memory, and the processor time of all processes that it started.

    Those of Ray are no children of the command, so they are known by their environment.
    """

    def __init__(self, process: subprocess.Popen[bytes], mark: str) -> None:
        super().__init__()
        self._process = process
        self._mark = f"{_MARK}={mark}".encode()
        self._other: set[int] = set()
        self.memory: list[Sample] = []
        self.cpu_seconds: dict[int, float] = {}

    def run(self) -> None:
        """Look until the command ends."""
        started = time.perf_counter()
        while self._process.poll() is None:
            with suppress(OSError):
                status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
                found = re.search(r"VmRSS:\s+(\d+)", status)
                if found:
                    self.memory.append(Sample(time.perf_counter() - started, int(found[1]) * 1024 / 1e6))
            for entry in Path("/proc").iterdir():
                if entry.name.isdecimal() and int(entry.name) not in self._other:
                    with suppress(OSError):
                        self._count(int(entry.name), entry)
            time.sleep(0.5)

    def _count(self, pid: int, entry: Path) -> None:
        if pid not in self.cpu_seconds and self._mark not in (entry / "environ").read_bytes():
            self._other.add(pid)
            return
        fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        self.cpu_seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def plot(memory: Sequence[Sample], path: Path) -> None:
    """Draw the memory of the host over time."""
    with figure_file(path, width=6.0, height=3.0) as canvas:
        axes = canvas.subplots()
        every = max(len(memory) // 400, 1)
        highest = [
            max(memory[start : start + every], key=lambda sample: sample.megabytes)
            for start in range(0, len(memory), every)
        ]
        axes.plot([sample.seconds / 60 for sample in highest], [sample.megabytes for sample in highest])
        axes.set(xlabel="minutes", ylabel="resident memory of the host, MB")
        start_at_zero(axes)
        axes.grid(axis="y")


def contents(directory: Path) -> dict[str, str]:
    """Digests of shards and manifest."""
    paths = [path for path in directory.rglob("*") if path.suffix in (".gz", ".json")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def order(directory: Path, text: Path, plain: Path) -> str:
    """Whether line n of the corpus is line n of the text, and its translation that of `translate` to a file."""
    num_lines = num_compared = 0
    with text.open(encoding="utf-8") as sources, plain.open(encoding="utf-8") as targets:
        for shard in sorted(directory.rglob("*.jsonl.gz")):
            with gzip.open(shard, "rt", encoding="utf-8") as lines:
                for line in map(json.loads, lines):
                    num_lines += 1
                    if line["source"] != next(sources).rstrip("\n"):
                        return f"line {num_lines} IS ANOTHER"
                    target = next(targets, None)
                    if target is not None:
                        num_compared += 1
                        if line["target"] != target.rstrip("\n"):
                            return f"the translation of line {num_lines} IS ANOTHER"
    return f"{num_lines:,} lines in their order, the first {num_compared:,} translated as by `translate`"


def finished_shards(out: Path) -> dict[str, int]:
    """Shards on disk, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in out.rglob("*.gz")}


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


def kill_one_worker(out: Path, *, at_shard: int, done: threading.Event) -> None:
    """When so many shards are finished, end the process of one of the workers of `local`."""
    while num_finished(out) < at_shard and not done.is_set():
        time.sleep(0.05)
    for host in _descendants(os.getpid()):
        for worker in _descendants(host):
            os.kill(worker, signal.SIGKILL)
            print(f"killed a worker when {num_finished(out)} shards were finished", flush=True)
            return
    print("no worker was found to kill", flush=True)


def _descendants(process: int) -> list[int]:
    """Child processes."""
    found = []
    for thread in Path(f"/proc/{process}/task").iterdir():
        found += [int(child) for child in (thread / "children").read_text(encoding="ascii").split()]
    return found


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


class Job(NamedTuple):
    """What is translated, how, and where its outcomes lie."""

    work: Path
    text: Path
    num_lines: int
    shard_lines: int
    common: list[str]

    @property
    def num_shards(self) -> int:
        """Of the text."""
        return -(-self.num_lines // self.shard_lines)

    def into(self, name: str, *further: str) -> list[str]:
        """The arguments of a translation into a corpus of that name."""
        arguments = [*self.common, "--file", str(self.text), "--out", str(self.work / name)]
        return [*arguments, "--shard-lines", str(self.shard_lines), *further]


def exported(work: Path) -> Path:
    """The starter as int8 ONNX files, made once."""
    onnx = work / "onnx"
    if not onnx.exists():
        int8 = work / "int8"
        for arguments in (
            ("quantize", "--model", STARTER / "model", "--method", "dynamic-int8", "--out", int8),
            ("export", "--model", int8, "--out", onnx, "--option", "profile=optimized"),
        ):
            subprocess.run(command(*arguments), check=True, cwd=work)
    return onnx


def compare_throughput(job: Job) -> None:
    """Time translations to a file and into a corpus."""
    plain = measured([*job.common, "--file", job.text], job.work, stdout=job.work / "plain.da")
    print(
        f"translate --workers: {job.num_lines / plain.seconds:.1f} lines/s, {plain.cpu_seconds:.1f} s of processor time"
    )
    corpus = measured(job.into("compared"), job.work)
    print(
        f"translate --out: {job.num_lines / corpus.seconds:.1f} lines/s, {corpus.cpu_seconds:.1f} s of processor time; "
        f"{plain.seconds / corpus.seconds:.3f} of the throughput, {plain.cpu_seconds / corpus.cpu_seconds:.3f} by time",
        flush=True,
    )


def translate_whole(job: Job, figure: Path | None) -> Measured:
    """Translate all of it without a disturbance, and look at memory and order."""
    whole = measured(job.into("whole"), job.work)
    print(
        f"whole: {job.num_lines:,} lines in {whole.seconds:.0f} s, {job.num_lines / whole.seconds:.1f} lines/s, "
        f"{whole.cpu_seconds:.0f} s of processor time"
    )
    steady = [sample.megabytes for sample in whole.memory[len(whole.memory) // 5 :]]
    print(f"memory of the host: {min(steady):.1f} to {max(steady):.1f} MB after the first fifth")
    if figure is not None:
        plot(whole.memory, figure)
    print(order(job.work / "whole", job.text, job.work / "plain.da"), flush=True)
    return whole


def kill_and_compare(job: Job, whole: Measured, kills: int) -> None:
    """Kill the host `kills` times, and one worker after the last time; compare what remains with the whole."""
    out, before = job.work / "killed", 0
    finished: dict[str, int] = {}
    for kill in range(kills):
        found = killed(job.into("killed"), job.work, out, at_shard=job.num_shards * (kill + 1) // (kills + 1))
        assert found >= before
        print(
            f"killed when {found} of {job.num_shards} shards were finished; {before} were there at its start",
            flush=True,
        )
        before = found
        finished.update(finished_shards(out))
    done = threading.Event()
    at_shard = (before + job.num_shards) // 2
    killer = threading.Thread(target=kill_one_worker, args=(out,), kwargs={"at_shard": at_shard, "done": done})
    killer.start()
    measured(job.into("killed"), job.work)
    done.set()
    killer.join()
    at_end = finished_shards(out)
    again = sum(at_end[name] != written for name, written in finished.items())
    print(f"killed {kills} times: {_sameness(job, 'killed')}; {again} finished shards written again", flush=True)


def _sameness(job: Job, name: str) -> str:
    return "the same bytes" if contents(job.work / name) == contents(job.work / "whole") else "OTHER BYTES"


def translate_by_ray(job: Job, whole: Measured) -> None:
    """Translate all of it by Ray, and once more with an actor killed in the middle."""
    ray = measured(job.into("ray", "--executor", "ray"), job.work)
    print(
        f"ray: {job.num_lines / ray.seconds:.1f} lines/s, {ray.cpu_seconds:.0f} s of processor time; "
        f"{ray.seconds / whole.seconds:.3f} of the time of local, {ray.cpu_seconds / whole.cpu_seconds:.3f} of its "
        f"processor time; {_sameness(job, 'ray')}",
        flush=True,
    )
    done = threading.Event()
    arguments = {"at_shard": job.num_shards // 2, "done": done}
    killer = threading.Thread(target=kill_one_actor, args=(job.work / "ray-killed",), kwargs=arguments)
    killer.start()
    measured(job.into("ray-killed", "--executor", "ray"), job.work)
    done.set()
    killer.join()
    print(f"ray, an actor killed: {_sameness(job, 'ray-killed')}", flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--text", type=Path, action="append", help="sources: lines, or the first column; may be gzip")
    parser.add_argument("--compare-lines", type=int, default=20_000, help="lines by which throughput is compared")
    parser.add_argument("--shard-lines", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--plot", type=Path, help="file for a figure of the memory of the host over time")
    options = parser.parse_args()
    if options.plot:
        check_plot_target(options.plot, formats=FORMATS, example="memory.svg")
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for name in ("compared", "whole", "killed", "ray", "ray-killed"):
        shutil.rmtree(work / name, ignore_errors=True)
    text = work / "text.en"
    make_text(text, options.lines, options.text or [STARTER / "dev.en-da.tsv"])
    common = ["translate", "--model", str(exported(work)), "--workers", str(options.workers)]
    job = Job(work, text, options.lines, options.shard_lines, common)
    compared = min(options.compare_lines, options.lines)
    compare_throughput(job._replace(text=first_lines(text, compared, work / "compared.en"), num_lines=compared))
    whole = translate_whole(job, options.plot)
    if options.kills:
        kill_and_compare(job, whole, options.kills)
    if options.ray:
        translate_by_ray(job, whole)


if __name__ == "__main__":
    main()
