"""The portable graphs in ONNX Runtime's own format (export option `ort`), for custom builds of it that read no other.

Owns the conversion, by ONNX Runtime itself, the list of operators that such a build must have, and giving the files the
same bytes every time: what ONNX Runtime writes depends on where the process lies in memory. Layout of the files:
onnxruntime/core/flatbuffers/schema/ort.fbs.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import flatbuffers
import onnxruntime as ort
from onnxruntime.tools.ort_format_model import create_config_from_models
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs import (
    ArgTypeAndIndex,
    InferenceSession,
    KernelTypeStrArgsEntry,
    KernelTypeStrResolver,
    OpIdKernelTypeStrArgsEntry,
)

from lingolite_cli.files.scratch import scratch_directory
from lingolite_onnx.portable.interface import GRAPHS, OPERATORS_FILE
from lingolite_onnx.session.sessions import CPU, session_options

_IDENTIFIER = b"ORTM"
_ALIGNMENT = 16
"""Of weights in the file, from its end."""


def convert_to_ort(directory: Path) -> None:
    """Write `.ort` files beside the portable graphs of `directory`, weights included, and `OPERATORS_FILE`.

    Level `basic`: what further levels fuse has kernels of one version of ONNX Runtime only.
    """
    for portable, converted in zip(GRAPHS["portable"], GRAPHS["ort"], strict=True):
        with scratch_directory() as scratch:
            options = session_options(threads=1)
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
            options.optimized_model_filepath = str(scratch / converted)
            options.add_session_config_entry("session.save_model_format", "ORT")
            # As ONNX Runtime's converter sets it for any processor but ARM: the graphs have uint8 activations.
            options.add_session_config_entry("session.qdqisint8allowed", "0")
            ort.InferenceSession(str(directory / portable), options, providers=[CPU])
            (directory / converted).write_bytes(canonical((scratch / converted).read_bytes()))
    _write_operators(directory)


def _write_operators(directory: Path) -> None:
    logger = logging.getLogger("ort_format_model.utils")
    level = logger.level
    logger.setLevel(logging.WARNING)  # it reports every file that it writes
    path = directory / OPERATORS_FILE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files that it reads open
            create_config_from_models([directory / name for name in GRAPHS["ort"]], path, True)
    finally:
        logger.setLevel(level)
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    path.write_text("\n".join(["# Operators and types of encoder.ort and decoder.ort", *kept, ""]), encoding="utf-8")


def canonical(data: bytes) -> bytes:
    """A file in ONNX Runtime's format, with what does not belong to the model written anew in a fixed order.

    A flatbuffer is written from its end: the model comes first, and at the front of the file stand the root and the
    types of kernels, whose tables follow the order of a hash table.
    """
    root = InferenceSession.InferenceSession.GetRootAs(data, 0)
    model = root.Model()._tab.Pos
    # A table's layout stands before it, or is that of an earlier one and lies behind it.
    begin = min(model, model - int.from_bytes(data[model : model + 4], "little", signed=True))
    tail = data[begin:]
    builder: Any = flatbuffers.Builder(len(data) + 4096)
    builder.Bytes[len(builder.Bytes) - len(tail) :] = tail
    builder.head = len(builder.Bytes) - len(tail)
    builder.minalign = _ALIGNMENT
    resolver = _resolver(builder, root.KernelTypeStrResolver())
    version = builder.CreateString(root.OrtVersion().decode())
    InferenceSession.Start(builder)
    InferenceSession.AddOrtVersion(builder, version)
    InferenceSession.AddModel(builder, len(data) - model)
    InferenceSession.AddKernelTypeStrResolver(builder, resolver)
    builder.Finish(InferenceSession.End(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _resolver(builder: Any, found: Any) -> int:
    """The types of kernels, by operator."""
    operators = [found.OpKernelTypeStrArgs(index) for index in range(found.OpKernelTypeStrArgsLength())]
    entries = []
    for operator in sorted(operators, key=lambda entry: entry.OpId()):
        types = [operator.KernelTypeStrArgs(index) for index in range(operator.KernelTypeStrArgsLength())]
        written = [_type(builder, type_) for type_ in sorted(types, key=lambda entry: entry.KernelTypeStr())]
        vector = _vector(builder, written, OpIdKernelTypeStrArgsEntry.StartKernelTypeStrArgsVector)
        name = builder.CreateString(operator.OpId().decode())
        OpIdKernelTypeStrArgsEntry.Start(builder)
        OpIdKernelTypeStrArgsEntry.AddOpId(builder, name)
        OpIdKernelTypeStrArgsEntry.AddKernelTypeStrArgs(builder, vector)
        entries.append(OpIdKernelTypeStrArgsEntry.End(builder))
    vector = _vector(builder, entries, KernelTypeStrResolver.StartOpKernelTypeStrArgsVector)
    KernelTypeStrResolver.Start(builder)
    KernelTypeStrResolver.AddOpKernelTypeStrArgs(builder, vector)
    return int(KernelTypeStrResolver.End(builder))


def _type(builder: Any, found: Any) -> int:
    arguments = []
    for index in range(found.ArgsLength()):
        argument = found.Args(index)
        ArgTypeAndIndex.Start(builder)
        ArgTypeAndIndex.AddArgType(builder, argument.ArgType())
        ArgTypeAndIndex.AddIndex(builder, argument.Index())
        arguments.append(ArgTypeAndIndex.End(builder))
    vector = _vector(builder, arguments, KernelTypeStrArgsEntry.StartArgsVector)
    name = builder.CreateString(found.KernelTypeStr().decode())
    KernelTypeStrArgsEntry.Start(builder)
    KernelTypeStrArgsEntry.AddKernelTypeStr(builder, name)
    KernelTypeStrArgsEntry.AddArgs(builder, vector)
    return int(KernelTypeStrArgsEntry.End(builder))


def _vector(builder: Any, offsets: list[int], start: Any) -> int:
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
