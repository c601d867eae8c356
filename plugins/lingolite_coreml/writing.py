"""A program written as packages, with what its manifest says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import coremltools
import msgspec

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.weights.bundle import Weights
from lingolite_coreml.details import Activations, CoreMLDetails, StoredKind
from lingolite_coreml.functions import build_decode, build_encode
from lingolite_coreml.interface import DECODE, ENCODE, INTERFACE_NAME, FunctionInterface, Value
from lingolite_coreml.options import Cache, Compute, CoreMLExportOptions, Target
from lingolite_coreml.package import write_package

_PACKAGE = "model.mlpackage"


class DescribedFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function, where it is, and its interface. `S` in a shape is the length of the source."""

    package: str
    function: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    states: tuple[Value, ...]


class DescribedProgram(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `interface.json`."""

    schema: int = 1
    target: Target
    compute: Compute
    cache: Cache
    positions: int
    functions: dict[str, DescribedFunction]
    steps: tuple[str, ...]


_ENCODE = (
    "encode: the ids of one framed source, at most `positions` of them. Where there is a source_mask, pad them to "
    "`positions` with any id; the mask is 1 for real ids and 0 for padding, here and in decode. Keep what it gives"
)
_DECODE = (
    "decode: the start token at position 0, then each token that was chosen at the next position, with what encode "
    "gave; choose the token of the largest logit; end at the end token or at the last position"
)
_STEPS: dict[Cache, tuple[str, ...]] = {
    "state": (_ENCODE, "make new states of decode for each sentence", _DECODE),
    "buffers": (
        _ENCODE,
        "fill every input past_… of decode with zeros for each sentence",
        _DECODE,
        "give each output present_… to the input past_… of the next call",
    ),
}


def write_program(
    weights: Weights, directory: Path, options: CoreMLExportOptions, *, positions: int, summary: str, licence: str = ""
) -> CoreMLDetails:
    """Write `model.mlpackage`, or for iOS 16 `encode.mlpackage` and `decode.mlpackage`.

    Args:
        weights: of the bundle.
        directory: where the packages go.
        options: of the export.
        positions: that source and target may have.
        summary: one line for people who open a package in Xcode.
        licence: of the weights; empty where it is not known.
    """
    details = _details(weights, options, positions)
    functions = {ENCODE: build_encode(weights, details.layout), DECODE: build_decode(weights, details.layout)}
    for package in dict.fromkeys(details.packages.values()):
        chosen = {
            details.function(name): function
            for name, function in functions.items()
            if details.packages[name] == package
        }
        write_package(directory / package, chosen, target=options.target, summary=summary, licence=licence)
    (directory / INTERFACE_NAME).write_bytes(interface_file(details, weights.config))
    return details


def interface_file(details: CoreMLDetails, architecture: Architecture) -> bytes:
    """The content of `interface.json`."""
    described = _described(details, details.interfaces(architecture))
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def _described(details: CoreMLDetails, interfaces: Mapping[str, FunctionInterface]) -> DescribedProgram:
    return DescribedProgram(
        target=details.target,
        compute=details.compute,
        cache=details.cache,
        positions=details.max_seq_len,
        functions={
            name: DescribedFunction(
                package=details.packages[name],
                function=details.function(name),
                inputs=interface.inputs,
                outputs=interface.outputs,
                states=interface.states,
            )
            for name, interface in interfaces.items()
        },
        steps=_STEPS[details.cache],
    )


def _details(weights: Weights, options: CoreMLExportOptions, positions: int) -> CoreMLDetails:
    return CoreMLDetails(
        target=options.target,
        compute=options.compute,
        cache=options.kept,
        shapes=options.shapes,
        max_seq_len=positions,
        weights=stored_kind(weights, options.compute),
        activations=met_activations(weights, options.compute),
        packages={name: _PACKAGE if options.target == "ios18" else f"{name}.mlpackage" for name in (ENCODE, DECODE)},
        coremltools_version=coremltools.__version__,
    )


def stored_kind(weights: Weights, compute: Compute) -> StoredKind:
    """The smallest type that matrices are stored in."""
    is_kept = weights.has_int8 or weights.has_groups or weights.kind == "float16"
    return weights.kind if is_kept else compute


def met_activations(weights: Weights, compute: Compute) -> Activations:
    """How activations meet the weights."""
    return "weight-only" if weights.has_int8 or weights.has_groups else compute
