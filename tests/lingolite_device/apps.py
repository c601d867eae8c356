"""The loops of device bundles in their own languages: compiled with a harness, and given a runtime over pipes.

Owns the compilers' commands and the protocol of `Harness.kt` and `Harness.swift`.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

HERE = Path(__file__).parent
APP = HERE.parents[1] / "plugins" / "lingolite_device" / "app"

Run = Callable[[str, dict[str, Any]], dict[str, Any]]


class Replayed(msgspec.Struct, frozen=True):
    """What an app gave for a sentence; `streamed` is the text after its last token."""

    ids: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str
    streamed: str


class Segmented(msgspec.Struct, frozen=True):
    """What an app's tokenizer made of a text: ids, the text of its pieces, and that of the ids' pieces in reverse."""

    ids: tuple[int, ...]
    text: str
    reversed_text: str


def kotlin_app(directory: Path) -> list[str]:
    """The command of the compiled Kotlin harness."""
    jar = directory / "harness.jar"
    sources = [str(APP / "LingoLite.kt"), str(HERE / "Harness.kt")]
    _compile([_found("kotlinc"), *sources, "-include-runtime", "-Werror", "-d", str(jar)])
    return [_found("java"), "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(jar), "org.lingolite.HarnessKt"]


def swift_app(directory: Path) -> list[str]:
    """The command of the compiled Swift harness."""
    program = directory / "harness"
    sources = [str(APP / "LingoLite.swift"), str(HERE / "Harness.swift")]
    _compile([_found("swiftc"), "-O", "-parse-as-library", *sources, "-o", str(program)])
    return [str(program)]


def replay(command: Sequence[str], directory: Path, run: Run) -> list[Replayed]:
    """The goldens of a device bundle by an app, whose runtime is `run`."""
    return [
        Replayed(_numbers(stream), _numbers(stream), _text(stream), _text(stream))
        for stream in _answers([*command, "goldens", str(directory)], run)
    ]


def segment(command: Sequence[str], model: Path, texts: Path) -> list[Segmented]:
    """Texts of a JSON file by an app's tokenizer."""
    answers = _answers([*command, "pieces", str(model), str(texts)], lambda *_: {})
    return [Segmented(_numbers(stream), _text(stream), _text(stream)) for stream in answers]


def _found(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"{name} is not installed"
    return path


def _compile(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _answers(command: Sequence[str], run: Run) -> Iterator[IO[bytes]]:
    """The stream at each answer; requests to run a graph are served between."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while (kind := _text(process.stdout)) != "end":
            if kind == "run":
                _serve(run, process.stdout, process.stdin)
            else:
                yield process.stdout
        process.stdin.close()
    assert process.returncode == 0


def _serve(run: Run, stream: IO[bytes], answer: IO[bytes]) -> None:
    graph = _text(stream)
    inputs = {}
    for _ in range(_int(stream)):
        name, shape = _text(stream), _numbers(stream)
        dtype = np.dtype(_text(stream)).newbyteorder(">")
        data = stream.read(int(np.prod(shape)) * dtype.itemsize)
        inputs[name] = np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
    outputs = run(graph, inputs)
    answer.write(struct.pack(">i", len(outputs)))
    for name, array in outputs.items():
        answer.write(struct.pack(">i", len(name)) + name.encode())
        answer.write(struct.pack(f">i{array.ndim}i", array.ndim, *array.shape))
        answer.write(array.astype(">f4").tobytes())
    answer.flush()


def _int(stream: IO[bytes]) -> int:
    return int(struct.unpack(">i", stream.read(4))[0])


def _numbers(stream: IO[bytes]) -> tuple[int, ...]:
    return tuple(_int(stream) for _ in range(_int(stream)))


def _text(stream: IO[bytes]) -> str:
    return stream.read(_int(stream)).decode()
