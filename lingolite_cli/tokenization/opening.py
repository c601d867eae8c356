"""Opening tokenizers: the class for each kind that a manifest names.

Owns the table of kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.tokenization.description import LINGOLITE, TokenizerDescription
from lingolite_cli.tokenization.lingolite import LingoLiteTokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

_KINDS: dict[str, Callable[[Path, TokenizerDescription, Sequence[str]], Tokenizer]] = {
    LINGOLITE.kind: lambda path, description, languages: LingoLiteTokenizer(path, description, languages=languages),
}


def open_tokenizer(artifact: Artifact) -> Tokenizer:
    """The tokenizer of an artifact; kind, frame and ids are those of its manifest.

    Raises:
        LingoLiteError: this version has no such kind, or the file is not what the manifest says.
    """
    manifest = artifact.manifest
    return read_tokenizer(artifact.tokenizer_path, manifest.tokenizer_description, languages=manifest.languages)


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
    try:
        read = _KINDS[description.kind]
    except KeyError:
        raise LingoLiteError(
            f"unknown kind of tokenizer `{description.kind}` of {path}", hint=did_you_mean(description.kind, _KINDS)
        ) from None
    return read(Path(path), description, languages)
