"""What a page says of itself in its manifest's `details`, and the ONNX artifact inside it.

Owns that part of the manifest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lingolite_cli.artifact import Artifact, ArtifactDetails
from lingolite_web.options import ONNX


class WebDetails(ArtifactDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exporter's part of the manifest.

    Attributes:
        onnx: digest of the ONNX artifact whose files the page runs.
        bundle: digest of the bundle that it was exported from.
        carried: what the ONNX artifact says of itself.
        runtime: package and version.
        pairs: source and target languages.
    """

    onnx: str
    bundle: str
    carried: dict[str, Any]
    runtime: str
    pairs: tuple[tuple[str, str], ...]


def onnx_inside(artifact: Artifact) -> Artifact:
    """The directory of a page, read as the ONNX artifact whose files it carries.

    Raises:
        LingoLiteError: another tool or version made it.
    """
    manifest = msgspec.structs.replace(artifact.manifest, format=ONNX, details=WebDetails.of(artifact).carried)
    return Artifact(artifact.path, manifest)
