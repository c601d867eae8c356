"""What `quantize` and `export` share: one artifact made from another by a plugin."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_INPUT,
    SHORTLIST_NAME,
    SOURCE_INPUT,
    Artifact,
    Product,
    Provenance,
    bundle_digest,
    derive_artifact,
)
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.files.integrity import check_utf8
from lingolite_cli.recipe.cache import ARTIFACT_NAME
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PluginChoice, Scope


def choose_converter(
    step: Step, scope: Scope, *, kind: str, name: str, key: str, model: str, options: dict[str, Any]
) -> PluginChoice:
    """The plugin that makes one artifact from another, after a check that it reads the format of `model`.

    Args:
        step: for messages.
        scope: what the step may refer to.
        kind: "quantizer" or "exporter".
        name: of the plugin.
        key: of the step that names the plugin.
        model: reference to the artifact that is converted.
        options: of the plugin.
    """
    format = scope.artifact_format(step, "model", model)
    choice = scope.plugin(step, key, kind=kind, name=name, options=options)
    scope.accepted(step, choice, format=format, reference=model)
    return choice


def convert_artifact(
    source: Artifact,
    convert: Callable[[Artifact, Path], Product],
    choice: PluginChoice,
    directory: Path,
    *,
    texts: Mapping[str, str] | None = None,
) -> Artifact:
    """Let a plugin write its files, and complete them to an artifact in the step's directory.

    Args:
        source: what it is made from.
        convert: the plugin's work.
        choice: the plugin.
        directory: the step's.
        texts: digests of the texts that the plugin read, by their use; they are recorded in the manifest.
    """
    produces = choice.loaded.spec.produces
    target = directory / ARTIFACT_NAME
    if choice.loaded.kind == "exporter":
        check_utf8(target.resolve())

    def read() -> Product:
        target.mkdir()
        return convert(source, target)

    product = source.reading(read, undo=lambda _: shutil.rmtree(target))
    if product.format != produces:
        raise LingoLiteError(
            f"{choice.loaded.kind} `{choice.loaded.spec.name}` made {product.format}, not {produces}",
            exit_code=ExitCode.PLUGIN,
        )
    if choice.loaded.kind == "quantizer" and SHORTLIST_NAME in source.manifest.files:
        # Of the tokens alone, and an exporter is told which one to carry.
        (target / SHORTLIST_NAME).write_bytes(source.read_bytes(SHORTLIST_NAME))
    return derive_artifact(source, target, product, _provenance(choice, source, texts or {}), directory=target)


def _provenance(choice: PluginChoice, source: Artifact, texts: Mapping[str, str]) -> Provenance:
    verb = {"quantizer": "quantize", "exporter": "export"}[choice.loaded.kind]
    return Provenance(
        operation=f"{verb} {choice.loaded.spec.name}",
        options=choice.options,
        inputs={SOURCE_INPUT: source.digest, **_bundle(source), **texts},
    )


def _bundle(source: Artifact) -> dict[str, str]:
    """The bundle behind an artifact that was exported already, for what is made of it once more."""
    if source.manifest.format.startswith(BUNDLE):
        return {}
    digest = bundle_digest(source.manifest)
    return {} if digest is None else {BUNDLE_INPUT: digest}
