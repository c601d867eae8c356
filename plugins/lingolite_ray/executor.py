"""Workers as actors of Ray.

Owns which actor gets which request, and what becomes of requests whose actor or machine dies. What an actor does is in
`actor`.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.executors import Answer, Work
from lingolite_cli.workers.channel import Failed
from lingolite_cli.workers.handling import HandlerResponse
from lingolite_cli.workers.load import check_load
from lingolite_ray.actor import HandlerActor, content_of, fingerprint
from lingolite_ray.options import RayOptions

_REQUESTS_PER_WORKER = 2
_MOST_DEATHS = 2
_STORE_BYTES = 256 << 20
"""Of Ray's store on this machine: requests and answers, which are small; artifacts come on top."""


class _Request(msgspec.Struct):
    position: int
    content: bytes
    num_deaths: int = 0


class RayExecutor:
    """An `Executor` of Ray's actors.

    Args:
        work: what they do.
        options: where Ray runs.
        num_workers: how many.

    Raises:
        LingoLiteError: the cluster cannot be reached or has too few processors, or a handler cannot be made.
    """

    def __init__(self, work: Work, *, options: RayOptions, num_workers: int) -> None:
        self._work = msgspec.structs.replace(work, artifacts=_resolved(work.artifacts))
        self._timeout = options.timeout_seconds
        self._is_started_here = not ray.is_initialized()
        if self._is_started_here:
            _connect(self._work, options, num_workers=num_workers)
        self._fingerprints = {name: fingerprint(path) for name, path in self._work.artifacts.items()}
        self._contents: dict[str, list[Any]] = {}
        self._actors: list[Any] = []
        self._under_way: dict[Any, tuple[Any, _Request]] = {}
        try:
            _check_processors(work, num_workers)
            self._actors = [self._new_actor() for _ in range(num_workers)]
            self._make(self._actors)
        except BaseException:
            self.close()
            raise

    def answers(self, requests: Iterable[bytes]) -> Iterator[Answer]:
        """Let the actors answer `requests`."""
        waiting = (_Request(position, content) for position, content in enumerate(requests))
        again: deque[_Request] = deque()
        while True:
            self._share(again, waiting)
            if not self._under_way:
                return
            (done,), _ = ray.wait(list(self._under_way), num_returns=1)
            actor, request = self._under_way.pop(done)
            try:
                content = _content_of(ray.get(done))
            except RayActorError as error:
                request.num_deaths += 1
                again.append(request)
                again.extend(self._without(actor))
                if request.num_deaths == _MOST_DEATHS:
                    again.remove(request)
                    yield Answer(position=request.position, death=_first_line(error))
            else:
                yield Answer(position=request.position, content=content)

    def close(self) -> None:
        """End the actors, and Ray where it was started here."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []
        if self._is_started_here:
            ray.shutdown()

    def _share(self, again: deque[_Request], waiting: Iterator[_Request]) -> None:
        """Give each actor what it has room for; the least busy first."""
        while True:
            loads = {actor: 0 for actor in self._actors}
            for actor, _ in self._under_way.values():
                loads[actor] += 1
            actor = min(loads, key=lambda one: loads[one])
            if loads[actor] == _REQUESTS_PER_WORKER:
                return
            request = again.popleft() if again else next(waiting, None)
            if request is None:
                return
            self._under_way[actor.ask.remote(request.content)] = actor, request

    def _without(self, dead: Any) -> list[_Request]:
        """Replace an actor that died, and return the requests that waited for it: they did not end it."""
        lost = [reference for reference, (actor, _) in self._under_way.items() if actor is dead]
        requests = [self._under_way.pop(reference)[1] for reference in lost]
        successor = self._new_actor()
        self._actors = [successor if actor is dead else actor for actor in self._actors]
        self._make([successor])
        return requests

    def _new_actor(self) -> Any:
        actor = ray.remote(HandlerActor).options(num_cpus=self._work.threads, max_restarts=0)
        return actor.remote(self._work, self._fingerprints)

    def _make(self, actors: list[Any]) -> None:
        """Make their handlers; artifacts are sent to machines that lack them."""
        try:
            for missing in self._got([actor.missing.remote() for actor in actors]):
                for name in missing:
                    if name not in self._contents:
                        self._contents[name] = [ray.put(content_of(self._work.artifacts[name]))]
            for raw in self._got([actor.make.remote(self._contents) for actor in actors]):
                _decoded(raw)
        except GetTimeoutError:
            raise LingoLiteError(
                f"Ray has not started {len(actors)} workers within {self._timeout:g} seconds",
                hint="see `ray status` for what the cluster is waiting for; --option timeout_seconds=N waits longer",
                exit_code=ExitCode.PLUGIN,
            ) from None
        except RayError as error:
            raise LingoLiteError(
                f"a worker of Ray could not be started: {_first_line(error)}",
                hint="every machine of the cluster needs the same lingolite and the same plugins",
                exit_code=ExitCode.PLUGIN,
            ) from error

    def _got(self, references: list[Any]) -> list[Any]:
        found: list[Any] = ray.get(references, timeout=self._timeout)
        return found


def _resolved(artifacts: dict[str, Path]) -> dict[str, Path]:
    return {name: path.resolve() for name, path in artifacts.items()}


def _connect(work: Work, options: RayOptions, *, num_workers: int) -> None:
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
    if options.address is None:
        size_bytes = sum(path.stat().st_size for place in work.artifacts.values() for path in place.rglob("*"))
        check_load(threads=work.threads, workers=num_workers, size_bytes=size_bytes)
        ray.init(
            address="local",  # overrides RAY_ADDRESS
            num_cpus=num_workers * work.threads,
            num_gpus=0,
            object_store_memory=_STORE_BYTES + 2 * size_bytes,
            # Ray runs its workers at nice 15: beside other work they would hardly get a processor.
            _system_config={"worker_niceness": 0},
            **quiet,
        )
        return
    _check_reachable(options)
    try:
        ray.init(address=options.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise _unreachable(options, _first_line(error)) from error


def _check_reachable(options: RayOptions) -> None:
    """Refuse an address where nothing listens: Ray itself would try for minutes.

    Raises:
        LingoLiteError: nothing listens there, or it is not a host and a port.
    """
    assert options.address is not None
    if options.address == "auto":
        return
    try:
        parts = urlsplit(options.address if "://" in options.address else f"ray://{options.address}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise LingoLiteError(f"address {options.address}: {error}", hint=_ADDRESSES) from None
    if host is None or port is None:
        raise LingoLiteError(f"address {options.address}: expected a host and a port", hint=_ADDRESSES)
    try:
        socket.create_connection((host, port), timeout=min(10.0, options.timeout_seconds)).close()
    except OSError as error:
        raise _unreachable(options, error.strerror or str(error)) from None


_ADDRESSES = "for example address=10.0.0.1:6379, address=auto, or address=ray://10.0.0.1:10001"


def _unreachable(options: RayOptions, why: str) -> LingoLiteError:
    return LingoLiteError(
        f"the Ray cluster at {options.address} cannot be reached: {why}",
        hint=f"see `ray status` on its head; {_ADDRESSES}; without an address, Ray is started here",
    )


def _check_processors(work: Work, num_workers: int) -> None:
    """Refuse more actors than the cluster has room for: Ray would wait for machines for ever."""
    there = float(ray.cluster_resources().get("CPU", 0.0))
    needed = num_workers * work.threads
    if needed > there:
        raise LingoLiteError(
            f"{num_workers} workers with {work.threads} threads need {needed} processors, and Ray has {there:g}",
            hint=f"pass at most --workers {max(1, int(there) // work.threads)}",
        )


def _content_of(raw: bytes) -> bytes:
    content: bytes = _decoded(raw).content
    return content


def _decoded(raw: bytes) -> Any:
    """A message of an actor.

    Raises:
        LingoLiteError: it could not do what was asked.
    """
    message = msgspec.msgpack.decode(raw, type=HandlerResponse)
    if isinstance(message, Failed):
        raise LingoLiteError(
            f"a worker of Ray: {message.message}", hint=message.hint, exit_code=ExitCode(message.exit_code)
        )
    return message


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
