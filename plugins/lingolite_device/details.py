"""What a device bundle says of itself in its manifest's `details`, and the artifact inside it.

Owns that part of the manifest.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lingolite_cli.artifact import Artifact, Manifest
from lingolite_cli.errors import LingoLiteError

CARRIED_NAME = "exported.json"
"""The manifest of the artifact whose files the bundle carries."""


class DeviceDetails(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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

    @classmethod
    def of(cls, artifact: Artifact) -> DeviceDetails:
        """The details of an artifact.

        Raises:
            LingoLiteError: another tool or version made it.
        """
        try:
            return msgspec.convert(artifact.manifest.details, cls)
        except msgspec.ValidationError as error:
            raise LingoLiteError(
                f"{artifact.path} was not made by this exporter: {error}", hint="export the artifact again"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """For `Product.details`."""
        builtins: dict[str, Any] = msgspec.to_builtins(self)
        return builtins


def carried_artifact(artifact: Artifact) -> Artifact:
    """The artifact inside a device bundle: the same directory, read as the format that it carries.

    Raises:
        LingoLiteError: its files are packed, or another tool or version made it.
    """
    if DeviceDetails.of(artifact).is_zip:
        raise LingoLiteError(
            f"{artifact.path} is packed into one file, which no engine runs", hint="export without the option zip"
        )
    try:
        inner = msgspec.json.decode(artifact.read_bytes(CARRIED_NAME), type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise LingoLiteError(
            f"{artifact.path / CARRIED_NAME} is not a manifest: {str(error)[:300]}", hint="export the artifact again"
        ) from None
    return Artifact(artifact.path, msgspec.structs.replace(inner, files=artifact.manifest.files))
