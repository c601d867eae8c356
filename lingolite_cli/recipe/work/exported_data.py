"""What ships beside the weights, held against the bundle: the manifest, descriptions, vocabularies, goldens, shortlist.

Owns the order of these comparisons. What the files of a format must hold, its backend knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.artifact import SHORTLIST_NAME, TOOL, Artifact, Manifest
from lingolite_cli.evaluation.described import value_differences
from lingolite_cli.evaluation.goldens import GOLDEN_NAME

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.recipe.scope import PluginChoice
    from lingolite_cli.weights.bundle import Weights


class ComparedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """In what files differ, and what could not be compared, a line each."""

    differences: list[str]
    not_measured: list[str] = []


def compare_files(
    artifact: Artifact, bundle: Artifact, backend: PluginChoice, weights: Weights, arithmetic: Arithmetic
) -> ComparedFiles:
    """Files beside the weights, as the version that wrote them would write them from the bundle.

    Args:
        artifact: exported from the bundle.
        bundle: with these weights.
        backend: that runs the artifact.
        weights: of the bundle.
        arithmetic: of the backend.

    Raises:
        LingoLiteError: a file that must be read cannot be.
    """
    from lingolite_cli.evaluation.golden_comparison import golden_differences

    spec, tool = backend.loaded.spec, artifact.manifest.made_by.tool
    if "data" not in spec.capabilities:
        return ComparedFiles(differences=[], not_measured=[f"files beside the weights: {_NO_DATA.format(spec.name)}"])
    if tool != TOOL:
        return ComparedFiles(
            differences=[], not_measured=[f"files beside the weights: {tool} wrote them, and this is {TOOL}"]
        )
    factory: Any = backend.loaded.load_factory()
    differences: list[str] = factory.data_differences(artifact, bundle)
    if GOLDEN_NAME in artifact.manifest.files:
        differences = [*differences, *golden_differences(artifact, bundle, weights, arithmetic)]
    return ComparedFiles(differences=differences)


_NO_DATA = "backend `{}` does not know what they must hold"


def manifest_differences(bundle: Manifest, artifact: Manifest) -> list[str]:
    """What the artifact's manifest says of the model otherwise than its bundle's does, a line each."""
    asked = artifact.made_by.options.get("max_seq_len") or bundle.model.max_seq_len
    positions = min(asked, bundle.model.max_seq_len)
    expected = msgspec.structs.replace(bundle, model=msgspec.structs.replace(bundle.model, max_seq_len=positions))
    named = ("model", "languages", "decoding", "trained_on", "quantization", "licence")
    right, own = (
        {name: value for name, value in msgspec.to_builtins(one).items() if name in named}
        for one in (expected, artifact)
    )
    return [line.removeprefix(": ") for line in value_differences("", right, own)]


def shortlist_difference(artifact: Manifest) -> str:
    """Whether the artifact's shortlist is the one that its manifest was made with; empty where it is, or has none."""
    named, own = artifact.made_by.inputs.get("shortlist"), artifact.files.get(SHORTLIST_NAME)
    if named is None or (own is not None and own.sha256 == named):
        return ""
    return f"{named[:12]} was exported, and {'there is none' if own is None else f'{own.sha256[:12]} is in the file'}"
