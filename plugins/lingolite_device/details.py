"""What a device bundle says of itself in its manifest's `details`, and the artifact inside it.

Owns that part of the manifest.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.artifact import Artifact, ArtifactDetails, Manifest
from lingolite_cli.errors import LingoLiteError

CARRIED_NAME = "exported.json"
"""The manifest of the artifact whose files the bundle carries."""


class DeviceDetails(ArtifactDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exporter's part of the manifest.

    Attributes:
        carried: format of the artifact inside.
        carried_digest: its digest; its manifest lies in the directory, called `CARRIED_NAME`.
        num_goldens: sentences in `golden.json`.
        is_zip: everything but tokenizer and manifest lies in one file.
    """

    carried: str
    carried_digest: str
    num_goldens: int
    is_zip: bool = False


def carried_artifact(artifact: Artifact) -> Artifact:
    """The artifact inside a device bundle: the same directory, read as the format that it carries.

    Raises:
        LingoLiteError: its files are packed, or another tool or version made it.
    """
    if DeviceDetails.of(artifact).is_zip:
        raise LingoLiteError(
            f"{artifact.path} is packed into one file, which no engine runs", hint="export without the option zip"
        )
    inner = carried_manifest(artifact)
    return Artifact(artifact.path, msgspec.structs.replace(inner, files=artifact.manifest.files))


def carried_manifest(artifact: Artifact) -> Manifest:
    """The manifest of the artifact inside.

    Raises:
        LingoLiteError: it is none.
    """
    try:
        return msgspec.json.decode(artifact.read_bytes(CARRIED_NAME), type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise LingoLiteError(
            f"{artifact.path / CARRIED_NAME} is not a manifest: {str(error)[:300]}", hint="export the artifact again"
        ) from None
