"""Where LingoLite runs: CPU and its instruction sets, Python, versions of the packages that decide figures."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from typing import Any

import msgspec

VERSION = "0.1.0"
"""Of LingoLite; pyproject.toml has the same."""

MOST_THREADS = 1024
"""No engine has use for more, and some end the process when they cannot start as many."""

PACKAGES = (
    "torch",
    "onnx",
    "onnxruntime",
    "ctranslate2",
    "numpy",
    "sentencepiece",
    "sacrebleu",
    "safetensors",
    "msgspec",
)


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run took place. `cpu_features` are instruction sets in the operating system's spelling."""

    lingolite: str
    python: str
    platform: str
    cpu: str
    cpu_features: list[str]
    cores: int
    threads: int
    packages: dict[str, str]


def describe_environment(*, threads: int) -> Environment:
    """The environment of this process."""
    return Environment(
        lingolite=VERSION,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_name(),
        cpu_features=cpu_features(),
        cores=available_cores(),
        threads=threads,
        packages=package_versions(PACKAGES),
    )


def cpu_name() -> str:
    """Brand of the CPU, or its microarchitecture where it does not tell."""
    from archspec.cpu import brand_string, host

    cpuid = _cpuid()
    return str((cpuid.brand_string() if cpuid else brand_string()) or host().name).strip()


def cpu_features() -> list[str]:
    """Instruction sets that decide speed and the exactness of integer products, sorted."""
    from archspec.cpu.detect import detected_info

    # Not archspec's `host()`: where a virtual machine hides one feature it falls back to a generic CPU without others.
    cpuid = _cpuid()
    features = cpuid.features if cpuid else detected_info().features
    prefixes = ("avx", "sse4", "fma", "f16c", "amx", "asimd", "sve", "i8mm", "bf16", "fp16", "neon")
    return sorted(name for name in features if name.startswith(prefixes))


def _cpuid() -> Any:
    """What x86's CPUID says to this very process: under an emulator the system's own tables are of another CPU.

    None on other CPUs, and where the system forbids the instruction's detour through executable memory.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    from archspec.cpu.detect import CpuidInfoCollector

    try:
        return CpuidInfoCollector()
    except OSError:
        return None


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those packages that are installed, under the names that they are imported by."""
    found = {name: _version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def _version(name: str) -> str | None:
    try:
        return _distribution_version(name)
    except PackageNotFoundError:
        if find_spec(name) is None:
            return None
    # A distribution may be called otherwise than what it brings: `comet` is unbabel-comet's. All have to be looked at.
    distributions = packages_distributions().get(name, [])
    return ", ".join(map(_distribution_version, distributions)) or None


@cache
def _distribution_version(name: str) -> str:
    """What is not installed is looked for again the next time; the version of what is cannot change under a process."""
    return version(name)


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
