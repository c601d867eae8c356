"""How a server holds many clients: batches and workers against a server that translates one sentence at a time.

    python tests/benchmarks/serving.py --model DIR --source test.en-da.tsv --clients 200 --seconds 60

Both servers have the same engine and take turns. Each client sends the next sentence when it has the answer to the one
before, on a connection that it keeps. `--end` sends SIGTERM while the clients go on, and counts requests that were
accepted and lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec

ONE_BY_ONE = ("--workers", "1", "--batch-size", "1", "--max-delay-ms", "0")


class Load(msgspec.Struct, kw_only=True):
    """What clients saw: answers by status, seconds of each translation, and requests that were lost.

    A request is lost if its connection ended after it was sent, and refused if there was no connection.
    """

    statuses: Counter[int]
    seconds: list[float]
    lost: int = 0
    refused: int = 0
    duration: float = 0.0

    @property
    def requests_per_second(self) -> float:
        """Translated requests alone."""
        return len(self.seconds) / self.duration

    def percentile_ms(self, share: float) -> float:
        """Of the translated requests."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


class Running(NamedTuple):
    """A server as a process, and its address."""

    process: subprocess.Popen[str]
    url: str


@contextmanager
def running(model: Path, *flags: str) -> Iterator[Running]:
    """`lingolite serve`, on a free port, until the block ends."""
    command = [sys.executable, "-m", "lingolite_cli", "serve", str(model), "--port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"http://\S+", line):
                yield Running(process, found[0])
                return
        raise RuntimeError(f"the server ended with {process.wait()}")
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


async def send_load(
    url: str,
    sources: Sequence[str],
    *,
    clients: int,
    seconds: float,
    languages: tuple[str, str],
    until_gone: bool = False,
) -> Load:
    """Translate as many sources as there is time for.

    Args:
        url: of the server.
        sources: each client begins at a place of its own.
        clients: that each send one request at a time.
        seconds: after which no request is sent.
        languages: of the sources, and into which they are translated.
        until_gone: whether a client ends when it cannot connect, and is not to try again.
    """
    load = Load(statuses=Counter(), seconds=[])
    began = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def client(number: int) -> None:
            place = number * len(sources) // clients
            while time.perf_counter() - began < seconds:
                body = {"q": sources[place % len(sources)], "source": languages[0], "target": languages[1]}
                place += 1
                sent = time.perf_counter()
                try:
                    async with session.post(f"{url}/translate", json=body) as response:
                        await response.read()
                except aiohttp.ClientConnectorError:
                    load.refused += 1
                    if until_gone:
                        return
                    continue
                except (aiohttp.ClientError, OSError):
                    load.lost += 1
                    continue
                load.statuses[response.status] += 1
                if response.status == 200:
                    load.seconds.append(time.perf_counter() - sent)
                else:
                    await asyncio.sleep(float(response.headers.get("Retry-After", 1)))

        await asyncio.gather(*map(client, range(clients)))
    load.duration = time.perf_counter() - began
    return load


async def _end_under_load(server: Running, arguments: argparse.Namespace, sources: Sequence[str]) -> Load:
    async def end() -> None:
        await asyncio.sleep(arguments.seconds / 2)
        server.process.send_signal(signal.SIGTERM)

    ending = asyncio.ensure_future(end())
    load = await send_load(
        server.url,
        sources,
        clients=arguments.clients,
        seconds=arguments.seconds * 2,
        languages=tuple(arguments.languages.split("-")),
        until_gone=True,
    )
    await ending
    return load


def _row(name: str, load: Load) -> str:
    others = ", ".join(f"{count} with {status}" for status, count in sorted(load.statuses.items()) if status != 200)
    figures = " | ".join(f"{load.percentile_ms(share):.0f}" for share in (0.5, 0.95, 0.99))
    return (
        f"| {name} | {len(load.seconds)} | {load.requests_per_second:.1f} | {figures} | {load.lost} | {others or '-'} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True, help="a TSV file; its first column is translated")
    parser.add_argument("--languages", default="en-da")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--end", action="store_true")
    arguments = parser.parse_args()
    lines = arguments.source.read_text(encoding="utf-8").splitlines()
    sources = [line.split("\t")[0] for line in lines]
    batched = ("--workers", str(arguments.workers), "--batch-size", str(arguments.batch_size))
    if arguments.end:
        with running(arguments.model, *batched) as server:
            load = asyncio.run(_end_under_load(server, arguments, sources))
            print(f"{len(load.seconds)} translated, {load.lost} lost; exit code {server.process.wait(60)}")
        sys.exit(bool(load.lost))
    print("| server | requests | requests/s | p50 ms | p95 ms | p99 ms | lost | refused |\n" + "|---" * 8 + "|")
    ratios = []
    for _ in range(arguments.rounds):
        rates = []
        for name, flags in (("one by one", ONE_BY_ONE), (" ".join(batched), batched)):
            with running(arguments.model, *flags) as server:
                load = asyncio.run(
                    send_load(
                        server.url,
                        sources,
                        clients=arguments.clients,
                        seconds=arguments.seconds,
                        languages=tuple(arguments.languages.split("-")),
                    )
                )
            print(_row(name, load), flush=True)
            rates.append(load.requests_per_second)
        ratios.append(rates[1] / rates[0])
    print(f"\nthroughput: {', '.join(f'{ratio:.2f}×' for ratio in ratios)}")


if __name__ == "__main__":
    main()
