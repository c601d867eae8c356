"""What a device bundle says besides its model files, held against the artifact inside and the bundle behind it.

Owns which files these are. `requirements.txt` names the versions of the machine that exported, and is not compared.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.described import file_differences, value_differences
from lingolite_cli.evaluation.goldens import GOLDEN_NAME, decode_goldens
from lingolite_cli.files.digests import sha256_json
from lingolite_device.details import CARRIED_NAME, DeviceDetails, carried_manifest
from lingolite_device.exporter import SUMS_NAME, described_files, sums_file

_DESCRIBED = ("model", "languages", "tokenizer", "decoding", "licence")
"""What the manifest of the artifact inside says as the bundle's own does."""


def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    """See `lingolite_cli.plugins.interfaces.DescribedBackend`. The artifact inside is another backend's to compare."""
    manifest, details = carried_manifest(artifact), DeviceDetails.of(artifact)
    goldens = decode_goldens(artifact.read_bytes(GOLDEN_NAME), where=artifact.path / GOLDEN_NAME)
    listed = artifact.manifest.files
    own_files = {name: listed.get(name, entry) for name, entry in manifest.files.items()}
    carried = msgspec.structs.replace(manifest, files=own_files)
    # With as many positions as the files have.
    described = msgspec.structs.replace(bundle.manifest, model=artifact.manifest.model)
    expected = described_files(Artifact(artifact.path, carried), Artifact(bundle.path, described), goldens)
    expected[SUMS_NAME] = sums_file({name: entry.sha256 for name, entry in listed.items() if name != SUMS_NAME})
    named = {
        "carried": manifest.format,
        "carried_digest": sha256_json(manifest),
        "num_goldens": len(goldens.sentences),
    }
    found = details.to_dict()
    outer, own = (
        {name: value for name, value in msgspec.to_builtins(one).items() if name in _DESCRIBED}
        for one in (artifact.manifest, manifest)
    )
    return [
        *value_differences("lingolite.json: details", named, {key: found[key] for key in named}),
        *value_differences(f"{GOLDEN_NAME}: artifact", details.carried_digest, goldens.artifact),
        *value_differences(CARRIED_NAME, outer, own),
        *file_differences(artifact, expected),
    ]
