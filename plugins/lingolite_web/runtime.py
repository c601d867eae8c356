"""ONNX Runtime for browsers: which version, which of its files, and where they come from.

Owns their digests. They are checked wherever the files come from: npm checks what it downloads against the lock file,
and nothing checks an installed directory.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.scratch import scratch_directory

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
LICENCE = "MIT License, Copyright (c) Microsoft Corporation"
BINARY = "ort-wasm-simd-threaded.wasm"
DIGESTS = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""SHA-256 of the files that a page needs: the build for WebAssembly alone, which is half as large as the one for WebGPU
and has the double precision kernels that exact files need."""

_NPM_SECONDS = 600
_LOCK = ("package.json", "package-lock.json")


def read_runtime(directory: str | None) -> dict[str, bytes]:
    """The runtime's files by name.

    Args:
        directory: an installed package; None to install it with npm.

    Raises:
        LingoLiteError: a file is missing or another one, or npm is missing or fails.
    """
    if directory is not None:
        return _checked(Path(directory))
    with _installed() as package:
        return _checked(package)


def _checked(package: Path) -> dict[str, bytes]:
    place = package / "dist" if (package / "dist").is_dir() else package
    found = {}
    for name, digest in DIGESTS.items():
        path = place / name
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise LingoLiteError(
                f"{path} cannot be read: {error.strerror}",
                hint=f"pass --option runtime=DIR, where DIR is node_modules/{PACKAGE} of version {VERSION}",
            ) from None
        if hashlib.sha256(found[name]).hexdigest() != digest:
            raise LingoLiteError(
                f"{path} is not that of {PACKAGE} {VERSION}: its SHA-256 is another one",
                hint=f"install it with `npm install {PACKAGE}@{VERSION}`",
            )
    return found


@contextmanager
def _installed() -> Iterator[Path]:
    """The package, installed by the plugin's lock file into a temporary directory. npm keeps what it downloaded."""
    npm = shutil.which("npm")
    hint = f"or pass --option runtime=DIR, where DIR is an installed node_modules/{PACKAGE} of version {VERSION}"
    if npm is None:
        raise LingoLiteError(f"npm, which installs {PACKAGE}, was not found", hint=f"install Node.js; {hint}")
    with scratch_directory() as directory:
        for name in _LOCK:
            (directory / name).write_bytes(files("lingolite_web").joinpath("runtime_lock", name).read_bytes())
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        try:
            done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_NPM_SECONDS)
        except subprocess.TimeoutExpired:
            raise LingoLiteError(f"npm took more than {_NPM_SECONDS} s to install {PACKAGE}", hint=hint) from None
        if done.returncode != 0:
            why = next((line for line in done.stderr.splitlines() if line.strip()), "it says nothing")
            raise LingoLiteError(
                f"npm could not install {PACKAGE} {VERSION}: {why[:200]}", hint=f"look at the network; {hint}"
            )
        yield directory / "node_modules" / PACKAGE
