"""First-party importers: descriptors only."""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.plugins.hookspecs import hookimpl
from lingolite_cli.plugins.specs import ImporterSpec
from lingolite_importers.options import CheckpointOptions

_REQUIRES = ("numpy", "sentencepiece")


@hookimpl
def lingolite_importers() -> Iterable[ImporterSpec]:
    """The importer `lingolite`."""
    yield ImporterSpec(
        name="lingolite",
        summary="LingoLite checkpoints, written by torch.save",
        reads="a .pt file, with --tokenizer",
        factory="lingolite_importers.lingolite.checkpoint:CheckpointImporter",
        recognizer="lingolite_importers.recognition:is_checkpoint",
        options=CheckpointOptions,
        requires=_REQUIRES,
        capabilities=frozenset({"samples"}),
    )
