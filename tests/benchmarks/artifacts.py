"""Artifacts that benchmarks outside of recipes run: a model in int8, as each engine reads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import msgspec
from models import make_bundle

from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.registry import load_registry

ORT = "ONNX ORT int8"
CTRANSLATE2 = "CTranslate2 int8"
_EXPORTS = {
    ORT: ("onnx", ("--format", "onnx", "--option", "profile=optimized")),
    CTRANSLATE2: ("ctranslate2", ("--format", "ctranslate2")),
}


class Exported(msgspec.Struct, frozen=True):
    """A model as one engine reads it."""

    engine: str
    backend: str
    artifact: Artifact

    @property
    def capabilities(self) -> frozenset[str]:
        """What its backend declares."""
        return load_registry().resolve("backend", self.backend).spec.capabilities

    def open(self, *, threads: int) -> AbstractContextManager[Any]:
        """Its backend, closed in the end."""
        return closing(
            load_registry().resolve("backend", self.backend).create(self.artifact, options={}, threads=threads)
        )


def export_int8(model: str, work: Path, *, engines: Sequence[str]) -> list[Exported]:
    """The model called `model` in int8 for `engines`, under `work`; what is there already is used again."""
    bundle = make_bundle(model, work / f"{model}-bundle")
    quantized = _made(work / f"{model}-int8", "quantize", "--model", str(bundle), "--method", "dynamic-int8")
    exported = []
    for engine in engines:
        backend, arguments = _EXPORTS[engine]
        path = _made(work / f"{model}-int8-{backend}", "export", "--model", str(quantized), *arguments)
        exported.append(Exported(engine, backend, Artifact.open(path)))
    return exported


def _made(path: Path, command: str, *arguments: str) -> Path:
    if not path.exists():
        run = [sys.executable, "-m", "lingolite_cli", "-q", command, *arguments, "--out", str(path)]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    return path
