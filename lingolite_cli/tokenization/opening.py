"""Opening tokenizers: the class for each kind that a manifest names.

Owns the table of kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lingolite_cli.artifact import TOKENIZER_NAME, Artifact
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import LINGOLITE, TokenizerDescription
from lingolite_cli.tokenization.lingolite import LingoLiteTokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

_KINDS: dict[str, Callable[[bytes, Path, TokenizerDescription, Sequence[str]], Tokenizer]] = {
    LINGOLITE.kind: lambda model, path, description, languages: LingoLiteTokenizer(
        model, description, where=path, languages=languages
    ),
}


def open_tokenizer(artifact: Artifact) -> Tokenizer:
    """The tokenizer of an artifact; kind, frame and ids are those of its manifest.

    Raises:
        LingoLiteError: this version has no such kind, or the file is not what the manifest says.
    """
    manifest = artifact.manifest
    path = artifact.path / TOKENIZER_NAME
    tokenizer = _open(artifact.read_bytes(TOKENIZER_NAME), path, manifest.tokenizer_description, manifest.languages)
    if tokenizer.vocab_size != manifest.model.vocab_size:
        raise LingoLiteError(
            f"{path} has {tokenizer.vocab_size:,} pieces, and the model {manifest.model.vocab_size:,}",
            hint="the tokenizer is another model's; make or copy the artifact again",
        )
    return tokenizer


def read_tokenizer(
    path: str | Path, description: TokenizerDescription = LINGOLITE, *, languages: Sequence[str] = ()
) -> Tokenizer:
    """A tokenizer that is not in an artifact yet.

    Args:
        path: its file.
        description: its kind, special ids and frame.
        languages: of the model; see `LingoLiteTokenizer`.

    Raises:
        LingoLiteError: this version has no such kind, or the file is not what the description says.
    """
    path = Path(path)
    try:
        model = path.read_bytes()
    except FileNotFoundError:
        raise LingoLiteError(f"no tokenizer at {path}") from None
    except OSError as error:
        raise LingoLiteError(f"cannot read the tokenizer {path}: {error.strerror}") from None
    return _open(model, path, description, languages)


def _open(model: bytes, path: Path, description: TokenizerDescription, languages: Sequence[str]) -> Tokenizer:
    try:
        read = _KINDS[description.kind]
    except KeyError:
        raise LingoLiteError(
            f"unknown kind of tokenizer `{description.kind}` of {path}", hint=did_you_mean(description.kind, _KINDS)
        ) from None
    return read(model, path, description, languages)
