"""Checkpoints where artifacts are expected: imported into the cache, once for the same files.

Owns where such bundles lie. What a checkpoint may look like is `lingolite_cli.model.checkpoint`'s, and loading PyTorch
waits until there is one to import.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_file
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.extras import TORCH, require
from lingolite_cli.recipe.cache import host_digest

IMPORTED = "imported"
"""The directory in the cache, with a bundle for each pair of checkpoint and tokenizer."""
_BESIDE = "tokenizer"


def artifact_path(context: JobContext, path: Path, *, tokenizer: Path | None = None) -> Path:
    """The artifact that `path` is; or, where it is a checkpoint, the bundle made of it in the cache.

    Args:
        context: whose cache is used.
        path: an artifact's directory, or a checkpoint file.
        tokenizer: of a checkpoint: its SentencePiece model, or a directory that holds one; default: the directory
            `tokenizer` beside the checkpoint.

    Raises:
        LingoLiteError: the checkpoint has no tokenizer or cannot be imported; or an artifact, which has its own, came
            with another one.
    """
    if not path.is_file():
        if tokenizer is not None:
            if not path.exists():
                raise LingoLiteError(f"no such file: {path}", hint="a tokenizer goes with a checkpoint, a .pt file")
            raise LingoLiteError(
                f"a tokenizer goes with a checkpoint, and {path} is a directory",
                hint="artifacts have a tokenizer of their own; leave it out",
            )
        return path.resolve()
    return _import(context, path, tokenizer or path.parent / _BESIDE)


def _import(context: JobContext, checkpoint: Path, tokenizer: Path) -> Path:
    if not tokenizer.exists():
        raise LingoLiteError(
            f"{checkpoint} is a file: a checkpoint needs its tokenizer, and {tokenizer} does not exist",
            hint="name its SentencePiece model or the directory that holds it: --tokenizer PATH",
        )
    require(TORCH, what=f"{checkpoint}, a checkpoint,")
    from lingolite_cli.model.bundle import find_tokenizer, import_checkpoint

    parts = (sha256_file(checkpoint), sha256_file(find_tokenizer(tokenizer)), host_digest())
    bundle = context.cache.root.resolve() / IMPORTED / sha256("\n".join(parts).encode()).hexdigest()
    if not _is_whole(bundle):
        import_checkpoint(checkpoint, tokenizer, bundle, overwrite=bundle.exists())
    context.console().note(f"{checkpoint} is a checkpoint: it is used as a bundle, imported into the cache as {bundle}")
    return bundle


def _is_whole(bundle: Path) -> bool:
    try:
        Artifact.open(bundle)
    except LingoLiteError:
        return False
    return True
