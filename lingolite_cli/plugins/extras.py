"""Packages that only some of the work needs: the extras that install them, what each gives, and how one is missed.

Owns the extras that a missing package is told by. What each of them installs is in pyproject.toml; which plugin needs
what, its descriptor says.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

import msgspec

from lingolite_cli.errors import ExitCode, LingoLiteError


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """An extra of this distribution.

    Attributes:
        name: what stands in the brackets of the pip command.
        modules: import names that it brings.
        gives: what works with it and not without, as a list in words.
    """

    name: str
    modules: tuple[str, ...]
    gives: str

    @property
    def install(self) -> str:
        """The pip command."""
        return f'pip install "lingolite[{self.name}]"'

    @property
    def is_installed(self) -> bool:
        """Whether all its modules can be found; nothing is imported."""
        return all(find_spec(module) is not None for module in self.modules)


class MissingExtraError(LingoLiteError, ImportError):
    """What was asked for needs an extra that is not installed.

    Also an ImportError, so that `try: from lingolite_cli import load_bundle` works as for any optional package.
    """


TORCH = Extra(
    name="torch",
    modules=("torch",),
    gives="training, checkpoints (`import`), the Python API on networks, the quantizers `static-int8`, `gptq-int4` and "
    "`qat-int8`, and the backends `eager`, `cached` and `int8`",
)
PLOTS = Extra(name="plots", modules=("matplotlib",), gives="figures in reports, `history --plot` and `bench --plot`")
TRAIN = Extra(name="train", modules=("torch", "tensorboard"), gives="training with curves for TensorBoard")
CTRANSLATE2 = Extra(name="ctranslate2", modules=("ctranslate2",), gives="the exporter and backend `ctranslate2`")
COREML = Extra(
    name="coreml",
    modules=("coremltools",),
    gives="the exporter `coreml` and the backends `coreml-reference` and `coreml`",
)
LITERT = Extra(
    name="litert",
    modules=("ai_edge_litert", "flatbuffers"),
    gives="the exporter and backend `litert`, for Android and iOS",
)

DOCUMENTS = Extra(
    name="documents",
    modules=("translate", "lxml", "markdown_it"),
    gives="`translate --file` on subtitles, TMX, XLIFF, HTML and Markdown",
)

RAY = Extra(name="ray", modules=("ray",), gives="the executor `ray`")

CORPORA = Extra(
    name="corpora",
    modules=("py3langid", "zstandard"),
    gives="corpora compressed with zstd, and the filter `language`",
)

SERVE = Extra(
    name="serve",
    modules=("starlette", "uvicorn", "prometheus_client", "python_multipart"),
    gives="`lingolite serve` over HTTP",
)

EXTRAS = (TORCH, PLOTS, TRAIN, CTRANSLATE2, COREML, LITERT, DOCUMENTS, CORPORA, RAY, SERVE)

CPU_BUILD = "for a PyTorch without CUDA, see README, section Install"


def require(extra: Extra, *, what: str) -> None:
    """Refuse work that needs an extra which is not installed, before any of it is done.

    Args:
        extra: what is needed.
        what: what needs it, as in "`lingolite import`".

    Raises:
        MissingExtraError: it is not installed (exit code 4).
    """
    if not extra.is_installed:
        missing = ", ".join(module for module in extra.modules if find_spec(module) is None)
        raise _missing(extra, f"{what} needs {missing}, which is not installed")


def missing_extra(error: BaseException) -> LingoLiteError | None:
    """What to tell where an import failed because an extra is not installed; None where `error` is something else."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    module = (error.name or "").partition(".")[0]
    for extra in EXTRAS:
        if module in extra.modules:
            return _missing(extra, f"this needs {module}, which is not installed")
    return None


def _missing(extra: Extra, message: str) -> MissingExtraError:
    hint = install_hint(extra.install, extra.modules)
    return MissingExtraError(message, hint=hint, exit_code=ExitCode.PLUGIN)


def install_hint(command: str, modules: Iterable[str]) -> str:
    """The command that installs `modules`, and for PyTorch where its smaller build is told of."""
    return f"run `{command}`" + (f"; {CPU_BUILD}" if "torch" in modules else "")
