"""Opening a `.tflite` file: errors of the runtime in words, and its notices kept from the user's screen.

Owns everything that is asked of the interpreter before a graph runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_litert.interface import DECODE, ENCODE, Port, decode_signature, encode_signature, signature_name

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import Architecture

_RESOLVERS = {"xnnpack": OpResolverType.BUILTIN, "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
_NOTICE = b"INFO: "
_MISSING_OPERATOR = ("Didn't find op", "Op builtin_code out of range", "Op type not registered")
"""What runtimes say of an operator, or of a version of one, that came after them."""


def open_interpreter(model: Path | bytes, *, delegate: str, threads: int) -> Interpreter:
    """An interpreter with its tensors allocated.

    Args:
        model: a file, which is mapped, or its content.
        delegate: as in `LitertOptions`.
        threads: inside an operator.

    Raises:
        LingoLiteError: the runtime cannot read or run the model.
    """
    given = {"model_path": str(model)} if isinstance(model, Path) else {"model_content": model}
    try:
        with _without_notices():
            interpreter = Interpreter(**given, num_threads=threads, experimental_op_resolver_type=_RESOLVERS[delegate])
            # XNNPACK takes the graph now, and not when the interpreter is made.
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise _unreadable(str(model) if isinstance(model, Path) else "the model", str(error)) from None
    return interpreter


def require_signatures(interpreter: Interpreter, config: Architecture, buckets: Sequence[int], *, where: Path) -> None:
    """Refuse a file whose signatures are not those of the model that the manifest describes.

    Args:
        interpreter: over the file.
        config: the architecture of the model.
        buckets: as in `LitertDetails`.
        where: the file is, for messages.

    Raises:
        LingoLiteError: naming the first input or output that differs.
    """
    known = interpreter.get_signature_list()
    kinds = ((DECODE, decode_signature), (ENCODE, encode_signature))
    for kind, signature, bucket in ((*kind, bucket) for bucket in buckets or (None,) for kind in kinds):
        name, wanted = signature_name(kind, bucket), signature(config, bucket)
        if name not in known:
            raise _foreign(where, f"it has no signature `{name}`")
        runner = interpreter.get_signature_runner(name)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        for port in wanted.inputs:
            _require_port(port, inputs, where=where)
        for port in wanted.outputs:
            _require_port(port, outputs, where=where)
        unknown = sorted({*inputs, *outputs} - {port.name for port in (*wanted.inputs, *wanted.outputs)})
        if unknown:
            raise _foreign(where, f"the signature `{name}` has `{unknown[0]}`, which the model has no use for")


def _require_port(port: Port, found: dict[str, dict[str, Any]], *, where: Path) -> None:
    if port.name not in found:
        raise _foreign(where, f"it has no `{port.name}`")
    shape = found[port.name]["shape_signature"].tolist()
    fits = len(shape) == len(port.shape) and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(port.shape, shape, strict=True)
    )
    if not fits:
        raise _foreign(where, f"`{port.name}` has the shape {shape} instead of {list(port.shape)}")


def _foreign(where: Path, why: str) -> LingoLiteError:
    return LingoLiteError(
        f"{where} is not of the model that its manifest describes: {why}", hint="export the bundle again"
    )


def _unreadable(what: str, why: str) -> LingoLiteError:
    why = " ".join(why.split())
    if any(sign in why for sign in _MISSING_OPERATOR):
        return LingoLiteError(
            f"this LiteRT is too old for {what}: {why}",
            hint='run `pip install --upgrade "ai-edge-litert>=2.3"`',
            exit_code=ExitCode.PLUGIN,
        )
    return LingoLiteError(
        f"LiteRT cannot open {what}: {why}", hint="export the bundle again", exit_code=ExitCode.PLUGIN
    )


@contextmanager
def _without_notices() -> Iterator[None]:
    """Leave out of standard error what the runtime notes there each time that it makes its delegate.

    It writes to the file descriptor and has no setting for it; everything else that it writes comes through.
    """
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield  # there is no standard error
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            lines = [line for line in caught if not line.startswith(_NOTICE)]
            if lines:
                os.write(2, b"".join(lines))
