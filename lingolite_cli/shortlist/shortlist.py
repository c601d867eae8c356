"""The file of a vocabulary shortlist: the target tokens that a source can need.

Owns the format and its checks. How a shortlist is learned is in `lingolite_cli.shortlist.learning`, and how the target
tokens of a batch are chosen from it in `lingolite_cli.shortlist.candidates`. V vocabulary, F frequent tokens, k
candidates of a source token.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic

FORMAT = "lingolite-shortlist-1"
NO_TOKEN = -1
"""Fills the rows of `Shortlist.candidates` whose source token has fewer than k."""


class Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shortlist says of itself.

    Attributes:
        format: always `FORMAT`.
        languages: source and target language.
        tokenizer: `tokenizer_digest` of the model that its tokens belong to.
        method: how it was learned, or where it comes from.
        num_pairs: pairs that it was learned from.
        target_vocab_size: the vocabulary of targets, where it is another one than that of sources.
        multiple_of: the number of a sentence's target tokens is filled up to a multiple of this, with the lowest ids
            that it lacks. Marian does so for its matrix products, and its students' texts depend on it.
    """

    format: str = FORMAT
    languages: tuple[str, str]
    tokenizer: str
    method: str
    num_pairs: int
    # UNSET is not encoded: shortlists without these keep their bytes.
    target_vocab_size: int | msgspec.UnsetType = msgspec.UNSET
    multiple_of: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


class Shortlist(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that a target may have: those of any sentence, and those of each source token.

    Attributes:
        details: of what it is made.
        frequent: [F] int32, ascending.
        candidates: [V, k] int32, `NO_TOKEN` where a source token has fewer.
    """

    details: Details
    frequent: npt.NDArray[np.int32]
    candidates: npt.NDArray[np.int32]

    @property
    def target_vocab_size(self) -> int:
        """V, or that of targets where they have a vocabulary of their own."""
        own = self.details.target_vocab_size
        return len(self.candidates) if isinstance(own, msgspec.UnsetType) else own

    @property
    def multiple_of(self) -> int:
        """What the number of a sentence's target tokens is a multiple of."""
        own = self.details.multiple_of
        return 1 if isinstance(own, msgspec.UnsetType) else own

    def write(self, path: Path) -> None:
        """Write the file; equal shortlists give equal bytes."""
        from safetensors.numpy import save

        tensors = {"frequent": self.frequent, "candidates": self.candidates}
        metadata = {"shortlist": msgspec.json.encode(self.details, order="sorted").decode()}
        write_atomic(path, save(tensors, metadata))

    def check_tokenizer(self, model: Artifact, *, where: Path) -> None:
        """Refuse a model whose tokenizer is not the one that the shortlist was learned with.

        Raises:
            LingoLiteError: the digests differ.
        """
        if model.tokenizer_digest != self.details.tokenizer:
            raise LingoLiteError(
                f"{where} was made for another tokenizer than the model's",
                hint="make one with `lingolite shortlist` and this model",
            )


def read_shortlist(path: Path) -> Shortlist:
    """Read and check a file.

    Raises:
        LingoLiteError: there is no such file, it is not a shortlist, or it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not path.is_file():
        raise LingoLiteError(f"no such file: {path}", hint="make one with `lingolite shortlist`")
    data = path.read_bytes()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        details = msgspec.json.decode(header["__metadata__"]["shortlist"], type=Details)
        shortlist = Shortlist(details=details, frequent=tensors["frequent"], candidates=tensors["candidates"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise LingoLiteError(
            f"{path} is not a shortlist: {error}", hint="make one with `lingolite shortlist`"
        ) from None
    check_shortlist(shortlist, path)
    return shortlist


def check_shortlist(shortlist: Shortlist, path: Path) -> None:
    """Refuse a shortlist that names tokens which the vocabulary does not have, or that has another layout.

    Raises:
        LingoLiteError: it does; `path` is named as its file.
    """
    is_sound = (
        shortlist.details.format == FORMAT
        and shortlist.frequent.dtype == shortlist.candidates.dtype == np.int32
        and shortlist.frequent.ndim == 1
        and shortlist.candidates.ndim == 2
        and len(shortlist.frequent) > 0
        and bool((np.diff(shortlist.frequent) > 0).all())
        and all(
            array.size == 0 or (array.min() >= lowest and array.max() < shortlist.target_vocab_size)
            for array, lowest in ((shortlist.frequent, 0), (shortlist.candidates, NO_TOKEN))
        )
    )
    if not is_sound:
        raise LingoLiteError(f"{path} is not a shortlist that this version reads", hint="make it again")
