"""A program written as packages, with what its manifest says of it."""

from __future__ import annotations

from pathlib import Path

import coremltools

from lingolite_cli.weights.bundle import Weights
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.functions import build_decode, build_encode
from lingolite_coreml.interface import DECODE, ENCODE, decode_interface, encode_interface
from lingolite_coreml.options import CoreMLExportOptions
from lingolite_coreml.package import write_package

_PACKAGE = "model.mlpackage"


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
    compute, target = options.compute, options.target
    functions = {
        ENCODE: build_encode(weights, compute=compute, target=target, num_positions=positions),
        DECODE: build_decode(weights, compute=compute, target=target, cache=options.kept, num_positions=positions),
    }
    for package in dict.fromkeys(details.packages.values()):
        chosen = {
            details.function(name): function
            for name, function in functions.items()
            if details.packages[name] == package
        }
        write_package(directory / package, chosen, target=options.target, summary=summary, licence=licence)
    return details


def _details(weights: Weights, options: CoreMLExportOptions, positions: int) -> CoreMLDetails:
    config, has_integers = weights.config, weights.has_int8 or weights.has_groups
    return CoreMLDetails(
        target=options.target,
        compute=options.compute,
        cache=options.kept,
        max_seq_len=positions,
        weights=weights.kind if has_integers or weights.kind == "float16" else options.compute,
        activations="weight-only" if has_integers else options.compute,
        packages={name: _PACKAGE if options.target == "ios18" else f"{name}.mlpackage" for name in (ENCODE, DECODE)},
        interface={
            ENCODE: encode_interface(config, compute=options.compute),
            DECODE: decode_interface(config, compute=options.compute, cache=options.kept, positions=positions),
        },
        coremltools_version=coremltools.__version__,
    )
