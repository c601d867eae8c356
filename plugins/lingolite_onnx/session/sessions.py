"""ONNX Runtime sessions, opened in one way everywhere: providers, threads, logging.

Owns the options of a session that do not depend on its graph. What a CPU needs for int8 graphs comes in as `entries`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from lingolite_cli.errors import ExitCode, LingoLiteError

CPU = "CPUExecutionProvider"

_ERRORS_ONLY = 3


def session_options(threads: int) -> ort.SessionOptions:
    """Options for `threads` threads inside an operator and one operator at a time.

    Memory patterns and arenas stay on: measured, they help although every step has other shapes.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    if threads == 1:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def execution_providers(name: str) -> list[str]:
    """The provider that users call `name`, then the CPU for what it cannot do.

    Args:
        name: `cpu`, `cuda`, `coreml`, …, in any case, or a full name such as `CUDAExecutionProvider`.

    Raises:
        LingoLiteError: this onnxruntime does not have it.
    """
    available = ort.get_available_providers()
    wanted = name.lower().removesuffix("executionprovider")
    for provider in available:
        if provider.lower().removesuffix("executionprovider") == wanted:
            return [provider] if provider == CPU else [provider, CPU]
    raise LingoLiteError(
        f"onnxruntime {ort.__version__} has no execution provider `{name}`",
        hint=f"available here: {', '.join(available)}; others come with other builds of onnxruntime",
        exit_code=ExitCode.PLUGIN,
    )


def open_session(
    model: Path | bytes,
    *,
    threads: int,
    provider: str = "cpu",
    weights_directory: Path | None = None,
    entries: Mapping[str, str] | None = None,
) -> ort.InferenceSession:
    """A session for a file or a serialized model.

    Args:
        model: a file with its weights beside it, or a serialized model.
        threads: threads inside an operator.
        provider: see `execution_providers`.
        weights_directory: where the weights of a serialized model are, if it has any.
        entries: further session configuration entries of ONNX Runtime.

    Raises:
        LingoLiteError: onnxruntime refuses the model or lacks the provider.
    """
    source = model if isinstance(model, bytes) else str(model)
    providers = execution_providers(provider)
    options = session_options(threads)
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    if weights_directory is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(weights_directory))
    try:
        # Its fallback prints to stdout, which is for data, and opens the same file again in vain.
        session = ort.InferenceSession(source, options, providers=providers, enable_fallback=False)
    except Exception as error:  # its exceptions share no base but this
        what = "a graph" if isinstance(model, bytes) else model
        raise LingoLiteError(
            f"onnxruntime {ort.__version__} cannot load {what}: {error}",
            hint="export again, or upgrade onnxruntime",
            exit_code=ExitCode.PLUGIN,
        ) from error
    _trim_heap()
    return session


def _trim_heap() -> None:
    """Return to the system what onnxruntime freed while it loaded a graph: glibc keeps it, as much as all weights.

    No effect where the C library has no `malloc_trim`.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
