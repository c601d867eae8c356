"""What a Core ML artifact says besides its programs, held against the bundle: `interface.json` and the details.

Owns which values these are; the file itself is `lingolite_coreml.writing`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.evaluation.described import file_differences, value_differences
from lingolite_cli.weights.bundle import Weights
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.interface import INTERFACE_NAME
from lingolite_coreml.writing import interface_file, met_activations, stored_kind

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact


def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    """See `lingolite_cli.plugins.interfaces.DescribedBackend`."""
    found, weights = CoreMLDetails.of(artifact), Weights.read(bundle)
    details = msgspec.structs.replace(
        found,
        max_seq_len=artifact.manifest.model.max_seq_len,
        weights=stored_kind(weights, found.compute),
        activations=met_activations(weights, found.compute),
    )
    return [
        *value_differences("lingolite.json: details", details.to_dict(), found.to_dict()),
        *file_differences(artifact, {INTERFACE_NAME: interface_file(details, bundle.manifest.model)}),
    ]
