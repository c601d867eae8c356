"""Vocabulary shortlists: the target tokens that a source can need, and the file that carries them.

Owns the format; how a shortlist is learned is in `lingolite_cli.shortlist.learning`. V vocabulary, F frequent tokens,
k candidates.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from lingolite_cli.artifact import sha256_file, write_atomic
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.tokenizer import FRAME_LENGTH, Tokenizer

FORMAT = "lingolite-shortlist-1"
NO_TOKEN = -1
IMPOSSIBLE = -1e30
"""The logit of a word that is not on the shortlist; finite, so that differences of logits are."""


class Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shortlist says of itself.

    Attributes:
        format: always `FORMAT`.
        languages: source and target language.
        tokenizer: SHA-256 of the SentencePiece model that its tokens belong to.
        method: how it was learned.
        num_pairs: pairs that it was learned from.
    """

    format: str = FORMAT
    languages: tuple[str, str]
    tokenizer: str
    method: str
    num_pairs: int


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
    def vocab_size(self) -> int:
        """V."""
        return len(self.candidates)

    def write(self, path: Path) -> None:
        """Write the file; equal shortlists give equal bytes."""
        from safetensors.numpy import save

        tensors = {"frequent": self.frequent, "candidates": self.candidates}
        metadata = {"shortlist": msgspec.json.encode(self.details, order="sorted").decode()}
        write_atomic(path, save(tensors, metadata))

    def check_tokenizer(self, path: Path, *, where: Path) -> None:
        """Refuse a model whose tokenizer, at `path`, is not the one whose tokens these are.

        Raises:
            LingoLiteError: it is another.
        """
        if sha256_file(path) != self.details.tokenizer:
            raise LingoLiteError(
                f"{where} was made for another tokenizer than the model's",
                hint="make one with `lingolite shortlist` and this model",
            )


def read_shortlist(path: Path) -> Shortlist:
    """Read and check a file.

    Raises:
        LingoLiteError: it is no shortlist, or is damaged.
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
    _check(shortlist, path)
    return shortlist


def _check(shortlist: Shortlist, path: Path) -> None:
    is_sound = (
        shortlist.details.format == FORMAT
        and shortlist.frequent.dtype == shortlist.candidates.dtype == np.int32
        and shortlist.frequent.ndim == 1
        and shortlist.candidates.ndim == 2
        and len(shortlist.frequent) > 0
        and bool((np.diff(shortlist.frequent) > 0).all())
        and all(
            array.size == 0 or (array.min() >= lowest and array.max() < shortlist.vocab_size)
            for array, lowest in ((shortlist.frequent, 0), (shortlist.candidates, NO_TOKEN))
        )
    )
    if not is_sound:
        raise LingoLiteError(f"{path} is not a shortlist that this version reads", hint="make it again")


class Words(msgspec.Struct, frozen=True):
    """The words of a batch.

    Attributes:
        ids: [W] int64, ascending: the tokens of all rows together.
        is_own: [B, W] bool, which of them are on a row's own shortlist.
    """

    ids: npt.NDArray[np.int64]
    is_own: npt.NDArray[np.bool_]


class WordChooser:
    """Which words the sources of a batch can need.

    Args:
        shortlist: of the model that runs.
    """

    def __init__(self, shortlist: Shortlist) -> None:
        vocab_size = shortlist.vocab_size
        candidates = np.where(shortlist.candidates == NO_TOKEN, vocab_size, shortlist.candidates)
        nothing = np.full((1, candidates.shape[1]), vocab_size)
        # A row more for padding, and an id more for no token: neither needs a branch.
        self._candidates = np.concatenate([candidates, nothing]).astype(np.int64)
        self._is_frequent = np.zeros(vocab_size + 1, np.bool_)
        self._is_frequent[shortlist.frequent] = True

    def choose(self, source_ids: npt.NDArray[np.int64], source_mask: npt.NDArray[np.bool_]) -> Words:
        """The words of sources [B, S] whose real tokens are true in `source_mask` [B, S]."""
        rows, length = source_ids.shape
        num_candidates = length * self._candidates.shape[1]
        padding = len(self._candidates) - 1
        tokens = np.where(source_mask, source_ids, padding)
        is_own = np.empty((rows, padding + 1), np.bool_)
        is_own[:] = self._is_frequent
        is_own[np.arange(rows)[:, None], self._candidates[tokens].reshape(rows, num_candidates)] = True
        is_wanted = is_own[0] if rows == 1 else is_own.any(axis=0) | self._is_frequent
        ids = np.flatnonzero(is_wanted[:-1])
        return Words(ids, np.take(is_own, ids, axis=1))


class DirectedChooser(WordChooser):
    """The same for framed sources, and for the one direction that the shortlist was learned for.

    Args:
        shortlist: of the model that runs.
        tokenizer: the model's.
    """

    def __init__(self, shortlist: Shortlist, tokenizer: Tokenizer) -> None:
        super().__init__(shortlist)
        self._languages = {tokenizer.language_id(language): language for language in tokenizer.languages}
        self._direction = shortlist.details.languages

    def choose(self, source_ids: npt.NDArray[np.int64], source_mask: npt.NDArray[np.bool_]) -> Words:
        """As `WordChooser.choose`.

        Raises:
            LingoLiteError: a source is framed for other languages.
        """
        last = np.maximum(source_mask.sum(axis=1) - 1, 0)
        for row, place in enumerate(last.tolist()):
            ids = source_ids[row, : place + 1].tolist()
            found = tuple(self._languages.get(id) for id in (ids[1], ids[-1])) if len(ids) >= FRAME_LENGTH else ()
            if None not in found and found and found != self._direction:
                raise LingoLiteError(
                    f"the shortlist is for {'-'.join(self._direction)}, and a source is {'-'.join(map(str, found))}",
                    hint="translate without --shortlist",
                )
        return super().choose(source_ids, source_mask)
