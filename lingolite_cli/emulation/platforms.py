"""Platforms that goldens are replayed on: this machine, and processors that qemu emulates.

Owns their names, where what they need lies, and the command that runs a Python script on one. How that gets there is
`lingolite_cli.emulation.preparing`'s. User-mode qemu is used from Debian 13 on: that of Debian 12 computes int8
products wrongly.
"""

from __future__ import annotations

import hashlib
import os
import platform
import site
import sys
from pathlib import Path

import msgspec

from lingolite_cli.environment import cpu_name
from lingolite_cli.errors import LingoLiteError, did_you_mean

NATIVE = "native"
EMULATORS_NAME = "emulators"


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """A processor that a script can be run on.

    Attributes:
        name: what users write.
        emulator: program of qemu; None for this machine.
        cpu: what qemu calls the processor.
        title: what reports call it.
        debian: Debian's name of its architecture, where Python and its packages are needed for it; None where those of
            this process run.
        wheels: tags of its wheels, the newest first.
    """

    name: str
    emulator: str | None = None
    cpu: str = ""
    title: str = ""
    debian: str | None = None
    wheels: tuple[str, ...] = ()


PLATFORMS = {
    one.name: one
    for one in (
        Platform(name=NATIVE),
        Platform(
            name="arm64",
            emulator="qemu-aarch64",
            cpu="cortex-a76",
            title="ARM Cortex-A76",
            debian="arm64",
            wheels=tuple(f"manylinux_2_{minor}_aarch64" for minor in (39, 34, 31, 28, 27, 26, 24, 17)),
        ),
        Platform(
            name="x86-without-vnni", emulator="qemu-x86_64", cpu="Haswell", title="x86 without VNNI (Intel Haswell)"
        ),
    )
}
"""By name."""


def find_platform(name: str) -> Platform:
    """The platform of that name.

    Raises:
        LingoLiteError: there is none.
    """
    if name not in PLATFORMS:
        raise LingoLiteError(f"there is no platform `{name}`", hint=did_you_mean(name, PLATFORMS))
    return PLATFORMS[name]


def platforms_root() -> Path:
    """Where emulators and other machines' packages lie: one place for all projects of a user."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "lingolite" / "platforms"


def emulator_path(one: Platform) -> Path:
    """The program that emulates a platform."""
    return platforms_root() / EMULATORS_NAME / str(one.emulator)


def system_path(one: Platform) -> Path:
    """The directory with Python for a platform."""
    return platforms_root() / one.name


def packages_path(one: Platform, requirements: str) -> Path:
    """The directory with the packages of a requirements file for a platform."""
    return platforms_root() / f"{one.name}-{hashlib.sha256(requirements.encode()).hexdigest()[:16]}"


def missing_system(one: Platform) -> str | None:
    """What a platform lacks, but for packages; None where it is ready."""
    if one.emulator is None:
        return None
    if not emulator_path(one).is_file():
        return f"{one.emulator} is not there"
    if one.debian is not None and not system_path(one).is_dir():
        return f"Python for {one.debian} is not there"
    return None


def missing_part(one: Platform, requirements: str) -> str | None:
    """What a platform lacks to run a script with these packages; None where it is ready."""
    missing = missing_system(one)
    if missing is None and one.debian is not None and not packages_path(one, requirements).is_dir():
        return f"{', '.join(requirements.split())} for {one.debian} are not there"
    return missing


def script_command(one: Platform, script: Path, requirements: str) -> tuple[list[str], dict[str, str]]:
    """The command that runs a Python script on a platform that is ready, without its arguments, and its environment."""
    environment = {"PATH": os.environ.get("PATH", ""), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if one.emulator is None:
        return [sys.executable, str(script)], environment
    emulator = [str(emulator_path(one)), "-cpu", one.cpu]
    if one.debian is None:
        environment["PYTHONPATH"] = os.pathsep.join([*site.getsitepackages(), site.getusersitepackages()])
        return [*emulator, os.path.realpath(sys.executable), str(script)], environment
    system = system_path(one)
    environment["PYTHONHOME"] = str(system / "usr")
    environment["PYTHONPATH"] = str(packages_path(one, requirements))
    python = next((system / "usr" / "bin").glob("python3.*"))
    return [*emulator, "-L", str(system), str(python), str(script)], environment


def processor(one: Platform) -> str:
    """What a record calls the processor."""
    return cpu_name() if one.emulator is None else f"{one.title}, emulated by qemu"


def require_emulation(name: str) -> None:
    """Refuse emulation where the emulators do not run.

    Raises:
        LingoLiteError: this is not Linux on x86-64.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise LingoLiteError(
            f"platform `{name}` is emulated on Linux with x86-64 only", hint=f"take `{NATIVE}` on this machine"
        )
