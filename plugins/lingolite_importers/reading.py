"""Files of foreign models, plain or in gzip, and never more of them in memory than such a file can hold."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.processors import load_processor

_MOST_INFLATED = 50
"""Times the size of a gzip file that its content may have: weights and vocabularies compress far less."""


def is_file(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        LingoLiteError: there is a link, and what it leads to is not there: the model would be read without it.
    """
    if path.is_symlink() and not path.exists():
        raise LingoLiteError(
            f"{path} is a link to a file that is not there", hint="copy the model with its files: cp -rL"
        )
    return path.is_file()


def read_sentencepiece_model(path: Path) -> bytes:
    """The content of a SentencePiece model.

    Raises:
        LingoLiteError: it cannot be read, or is not one.
    """
    content = read_file(path)
    load_processor(content, where=path)
    return content


def read_file(path: Path) -> bytes:
    """The content of a file, inflated where its name ends in `.gz`.

    Raises:
        LingoLiteError: it cannot be read, or inflates to far more than such a file holds.
    """
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        most = _MOST_INFLATED * path.stat().st_size
        with gzip.open(path) as stream:
            content = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise LingoLiteError(f"cannot read {path}: {error}", hint="copy it again") from None
    if len(content) > most:
        raise LingoLiteError(f"{path} inflates to more than {_MOST_INFLATED} times its size", hint="copy it again")
    return content
