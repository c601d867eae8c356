"""`.mlpackage` directories: written so that equal programs give equal bytes.

Owns the files of a package. coremltools would give its manifest random identifiers, the specification a time and the
mode 600, and its maps any order.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coremltools.converters.mil.backend.mil.load import load
from coremltools.converters.mil.mil import Function, Program

from lingolite_coreml.options import Target
from lingolite_coreml.program.reading import SPECIFICATION, WEIGHTS

_NAMESPACE = uuid.UUID("7c1b5c0e-6a0e-5d1c-9a3e-2f4d8f0c6b11")
_VERSIONS = {"ios16": 7, "ios18": 9}
"""Versions of the specification: `coremltools.SPECIFICATION_VERSION_IOS_16` and so on."""


def write_package(
    package: Path, functions: Mapping[str, Function], *, target: Target, summary: str, licence: str
) -> None:
    """Write a package of one function, called `main`, or of several, which share their weights.

    Args:
        package: the new directory.
        functions: by name.
        target: the oldest system.
        summary: one line for people who open it in Xcode.
        licence: of the weights; empty where it is not known.
    """
    program = Program()
    for name, function in functions.items():
        program.add_function(name, function)
    program.default_function_name = next(iter(functions))
    program.export_as_multifunction = len(functions) > 1
    program.skip_all_passes = True
    weights = package / WEIGHTS
    weights.parent.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        model: Any = load(program, directory, specification_version=_VERSIONS[target])
        weights.write_bytes((Path(directory) / weights.name).read_bytes())
    model.description.metadata.shortDescription = summary
    model.description.metadata.license = licence
    (package / SPECIFICATION).write_bytes(model.SerializeToString(deterministic=True))
    (package / "Manifest.json").write_text(_manifest(), encoding="utf-8")


def _manifest() -> str:
    entries = {
        "model.mlmodel": "CoreML Model Specification",
        "weights": "CoreML Model Weights",
    }
    identifiers = {name: str(uuid.uuid5(_NAMESPACE, name)).upper() for name in entries}
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            identifiers[name]: {
                "author": "com.apple.CoreML",
                "description": description,
                "name": name,
                "path": f"com.apple.CoreML/{name}",
            }
            for name, description in entries.items()
        },
        "rootModelIdentifier": identifiers["model.mlmodel"],
    }
    return json.dumps(manifest, indent=4) + "\n"
