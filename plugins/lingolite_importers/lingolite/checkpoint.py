"""The importer `lingolite`: training checkpoints. What one may look like is `lingolite_cli.model.checkpoint`'s."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.importing.imported import Imported
from lingolite_cli.plugins.extras import TORCH, require
from lingolite_importers.options import CheckpointOptions


class CheckpointImporter:
    """See `lingolite_cli.plugins.interfaces.Importer`.

    Args:
        options: the tokenizer, and sizes that a checkpoint may lack.
    """

    def __init__(self, *, options: CheckpointOptions) -> None:
        self._options = options

    def read(self, path: Path) -> Imported:
        """Read a checkpoint.

        Raises:
            LingoLiteError: PyTorch is not installed, or the checkpoint or tokenizer cannot be used.
        """
        require(TORCH, what="`lingolite import`")
        from lingolite_cli.model.bundle import imported_checkpoint

        options = self._options
        return imported_checkpoint(
            path,
            options.tokenizer,
            n_heads=options.n_heads,
            n_kv_heads=options.n_kv_heads,
            preset=options.preset,
            max_seq_len=options.max_seq_len,
            trained_on=options.trained_on,
            licence=options.licence,
        )
