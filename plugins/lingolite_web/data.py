"""What a page says besides its graphs, held against the bundle: its configuration, scripts, lists and runtime.

Owns which files these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.described import file_differences, value_differences
from lingolite_cli.evaluation.goldens import GOLDEN_NAME, decode_goldens
from lingolite_cli.tokenization.ported import ported_tokenizer
from lingolite_cli.weights.bundle import Weights
from lingolite_web import runtime
from lingolite_web.details import WebDetails, onnx_inside
from lingolite_web.exporter import (
    FILES_NAME,
    RUNTIME_DIRECTORY,
    Download,
    described_files,
    download_names,
    files_script,
    page_files,
)
from lingolite_web.options import WebExportOptions
from lingolite_web.source import require_browser

if TYPE_CHECKING:
    from lingolite_cli.files.verified import FileEntry


def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
    """See `lingolite_cli.plugins.interfaces.DescribedBackend`."""
    details, listed = WebDetails.of(artifact), artifact.manifest.files
    goldens = decode_goldens(artifact.read_bytes(GOLDEN_NAME), where=artifact.path / GOLDEN_NAME)
    # With as many positions as the files have.
    described = Artifact(bundle.path, msgspec.structs.replace(bundle.manifest, model=artifact.manifest.model))
    asked = msgspec.convert(artifact.manifest.made_by.options, WebExportOptions)
    names = download_names(described)
    downloads = tuple(
        Download(name=name, size=listed[name].size_bytes, sha256=listed[name].sha256)
        for name in names
        if name in listed
    )
    tokenizer = ported_tokenizer(described, details.pairs)
    facts = require_browser(onnx_inside(artifact))
    expected = {**page_files(), **described_files(described, facts, tokenizer, downloads, threads=asked.threads)}
    others = {name: entry.sha256 for name, entry in listed.items() if name != FILES_NAME}
    expected[FILES_NAME] = files_script(others, downloads)
    return [
        *_details_differences(details, artifact, bundle),
        *value_differences(f"{GOLDEN_NAME}: artifact", details.onnx, goldens.artifact),
        *(f"{name} is missing" for name in names if name not in listed),
        *_runtime_differences(listed),
        *file_differences(artifact, expected),
    ]


def _details_differences(details: WebDetails, artifact: Artifact, bundle: Artifact) -> list[str]:
    weights = Weights.read(bundle)
    carried = {
        "max_seq_len": artifact.manifest.model.max_seq_len,
        "weights": weights.kind,
        "activations": weights.activations,
    }
    own = {key: details.carried.get(key) for key in carried}
    return [
        *value_differences("lingolite.json: details.carried", carried, own),
        *value_differences("lingolite.json: details.bundle", bundle.digest, details.bundle),
    ]


def _runtime_differences(listed: dict[str, FileEntry]) -> list[str]:
    """Files of the runtime that are not those of the version that the page was written for."""
    names = {f"{RUNTIME_DIRECTORY}/{name}": digest for name, digest in runtime.DIGESTS.items()}
    return [
        f"{name} is not that of {runtime.PACKAGE} {runtime.VERSION}"
        for name, digest in names.items()
        if name not in listed or listed[name].sha256 != digest
    ]
