"""What an ONNX artifact says besides its graphs, held against the bundle: `export_config.json` and the details.

Owns which values these are; the file itself is `lingolite_onnx.export_config`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import SHORTLIST_NAME
from lingolite_cli.evaluation.described import file_differences, value_differences
from lingolite_cli.shortlist.shortlist import read_shortlist
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.export_config import FILE_NAME, export_config, source_frame
from lingolite_onnx.profiles import PROFILES

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact


def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    """See `lingolite_cli.plugins.interfaces.DescribedBackend`."""
    found, weights = OnnxExportDetails.of(artifact), Weights.read(bundle)
    profile, positions = PROFILES[found.profile], artifact.manifest.model.max_seq_len
    details = msgspec.structs.replace(
        found,
        max_seq_len=positions,
        weights=weights.kind,
        activations=profile.group_activations if weights.has_groups else weights.activations,
        exact=found.exact and weights.has_int8,
        shortlist=_languages(artifact),
    )
    described = profile.describe_graphs(details, weights, artifact.path)
    config = export_config(bundle, details, source_frame(bundle, positions), described, artifact.path)
    return [
        *value_differences("lingolite.json: details", details.to_dict(), found.to_dict()),
        *file_differences(artifact, {FILE_NAME: config}),
    ]


def _languages(artifact: Artifact) -> tuple[str, str] | None:
    """Of the shortlist that the artifact carries."""
    if SHORTLIST_NAME not in artifact.manifest.files:
        return None
    return read_shortlist(artifact.file(SHORTLIST_NAME)).details.languages
