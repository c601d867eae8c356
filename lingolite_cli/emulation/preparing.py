"""Getting what a platform needs: emulator and Python by Debian's apt, packages by pip, into one place of the user's.

Owns the commands. Nothing is installed on the system: packages of Debian 13 are unpacked into directories, each whole
or not at all.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lingolite_cli.emulation.platforms import (
    EMULATORS_NAME,
    PLATFORMS,
    Platform,
    emulator_path,
    packages_path,
    platforms_root,
    require_emulation,
    system_path,
)
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.files.atomic import atomic_directory

_SUITE = "trixie"
_PYTHON = "3.13"
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LINES = 3
"""Of what a failed command said, the last ones are told."""


def prepare(one: Platform, requirements: str, *, note: Callable[[str], None]) -> None:
    """Download what a platform lacks to run a script with these packages.

    Args:
        one: the platform.
        requirements: as in a requirements file of pip.
        note: told what is downloaded.

    Raises:
        LingoLiteError: a program is missing, or the downloads fail, for example without a network.
    """
    if one.emulator is None:
        return
    require_emulation(one.name)
    if not emulator_path(one).is_file():
        note("downloading qemu of Debian 13")
        _unpack_emulators()
    if one.debian is None:
        return
    if not system_path(one).is_dir():
        note(f"downloading Python {_PYTHON} for {one.debian}")
        _unpack_python(one)
    if not packages_path(one, requirements).is_dir():
        note(f"downloading {', '.join(requirements.split())} for {one.debian}")
        _install_packages(one, requirements)


def _unpack_emulators() -> None:
    programs = [f"./usr/bin/{one.emulator}" for one in PLATFORMS.values() if one.emulator is not None]
    with atomic_directory(platforms_root() / EMULATORS_NAME) as directory, TemporaryDirectory() as scratch:
        apt = _Apt(Path(scratch), "amd64")
        for package in apt.fetch(["qemu-user:amd64"], with_dependencies=False):
            archive = subprocess.run(
                ["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True
            ).stdout
            subprocess.run(
                ["tar", "-x", "--strip-components=3", "-C", str(directory), *programs], input=archive, check=True
            )


def _unpack_python(one: Platform) -> None:
    packages = (f"python{_PYTHON}-minimal", f"libpython{_PYTHON}-stdlib", "libstdc++6")
    names = [f"{name}:{one.debian}" for name in packages]
    with atomic_directory(system_path(one)) as directory, TemporaryDirectory() as scratch:
        for package in _Apt(Path(scratch), str(one.debian)).fetch(names, with_dependencies=True):
            _run(["dpkg-deb", "-x", str(package), str(directory)])
        # Where Debian's merged directories are links, which a package alone does not bring.
        if not (directory / "lib").exists():
            (directory / "lib").symlink_to("usr/lib")
        # Links into a configuration that is not there, such as Python's `sitecustomize.py`.
        for path in directory.rglob("*"):
            if path.is_symlink() and not path.exists():
                path.unlink()


def _install_packages(one: Platform, requirements: str) -> None:
    with atomic_directory(packages_path(one, requirements)) as directory:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--target", str(directory), "--only-binary=:all:", "--implementation", "cp"]
        command += ["--python-version", _PYTHON, *(f"--platform={tag}" for tag in one.wheels)]
        _run([*command, *requirements.split()])


class _Apt:
    """Debian's package manager on lists of its own, so that the system's stay as they are."""

    def __init__(self, root: Path, architecture: str) -> None:
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise LingoLiteError(
                    f"{program} is missing: other processors are prepared with Debian's packages",
                    hint="prepare them on Debian or Ubuntu",
                    exit_code=ExitCode.PLUGIN,
                )
        self._root = root
        for name in ("lists/partial", "archives/partial"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources").write_text(f"deb [signed-by={_KEYS}] {_mirror()} {_SUITE} main\n", encoding="utf-8")
        self._options = [
            f"Dir::State={root}",
            f"Dir::State::status={root / 'status'}",
            f"Dir::Cache={root}",
            f"Dir::Etc::sourcelist={root / 'sources'}",
            "Dir::Etc::sourceparts=/dev/null",
            f"APT::Architecture={architecture}",
            *(f"APT::Architectures::={name}" for name in dict.fromkeys(("amd64", architecture))),
            "APT::Sandbox::User=",
            "Acquire::Retries=2",
        ]

    def fetch(self, packages: Sequence[str], *, with_dependencies: bool) -> list[Path]:
        """The files of packages, and of what they depend on if that is asked for."""
        self._apt("update")
        if not with_dependencies:
            self._apt("download", *packages)
            return sorted(self._root.glob("*.deb"))
        self._apt("install", "--download-only", "--yes", "--no-install-recommends", *packages)
        return sorted((self._root / "archives").glob("*.deb"))

    def _apt(self, *arguments: str) -> None:
        options = [part for option in self._options for part in ("-o", option)]
        _run(["apt-get", "--quiet", "--quiet", *options, *arguments], cwd=self._root)


def _mirror() -> str:
    """Where this system gets Debian's packages from."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN)"], capture_output=True, text=True, check=False
    )
    sites = [line.split(" ", 1)[0] for line in found.stdout.splitlines() if line.endswith(" Debian")]
    if not sites:
        raise LingoLiteError(
            "apt knows no mirror of Debian, so there is nothing to download from",
            hint="run `apt-get update` first, on Debian",
            exit_code=ExitCode.PLUGIN,
        )
    return next((site for site in sites if "security" not in site), sites[0])


def _run(command: Sequence[str], *, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).strip().splitlines()[-_LINES:])
        raise LingoLiteError(
            f"`{Path(command[0]).name}` failed: {said[:500]}",
            hint="check the network, and run the same command again",
            exit_code=ExitCode.PLUGIN,
        )
