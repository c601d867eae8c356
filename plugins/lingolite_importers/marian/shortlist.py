"""Marian's binary shortlists, `lex.*.s2t.bin`, as LingoLite's.

Owns the layout (marian-dev, src/data/shortlist.h), little-endian: six u64, which are a magic number, a checksum, how
many first target ids every sentence has, how many candidates a source token has at most, the number of offsets and the
number of ids; u64 offsets, one a source token and one more; u32 target ids.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.imported import ImportedShortlist

_MAGIC = 0xF11A48D5013417F5
_HEADER_SIZE = 48
_MULTIPLE = 8
"""Marian adds ids from the first ones on until their number is a multiple: intgemm multiplies by no others."""
_HINT = "copy the shortlist of this model again, or leave it out"


def read_lexical_shortlist(
    data: bytes, *, where: Path, languages: tuple[str, str], sizes: tuple[int, int], rows: tuple[int, int]
) -> ImportedShortlist:
    """Read a shortlist.

    Args:
        data: the content of the file.
        where: the file, for messages.
        languages: source and target language.
        sizes: source and target tokens of the model.
        rows: those with the tokens that were added.

    Raises:
        LingoLiteError: it is not one, is cut short, or is of another model.
    """
    header = np.frombuffer(data[:_HEADER_SIZE], "<u8").tolist() if len(data) >= _HEADER_SIZE else [0]
    if header[0] != _MAGIC:
        raise LingoLiteError(f"{where} is not a binary shortlist of Marian", hint=_HINT)
    _, _, first, _, num_offsets, num_ids = header
    expected = _HEADER_SIZE + 8 * num_offsets + 4 * num_ids
    if len(data) != expected:
        raise LingoLiteError(f"{where} has {len(data):,} bytes, and its header says {expected:,}", hint=_HINT)
    if num_offsets != sizes[0] + 1:
        raise LingoLiteError(
            f"{where} is of {num_offsets - 1:,} source tokens, and the model has {sizes[0]:,}", hint=_HINT
        )
    offsets = np.frombuffer(data, "<u8", num_offsets, _HEADER_SIZE).astype(np.int64)
    ids = np.frombuffer(data, "<u4", num_ids, _HEADER_SIZE + 8 * num_offsets)
    lengths = np.diff(offsets)
    is_sound = offsets[0] == 0 and offsets[-1] == num_ids and (lengths >= 0).all() and 0 < first <= sizes[1]
    if not is_sound or (num_ids and int(ids.max()) >= sizes[1]):
        raise LingoLiteError(f"{where} names tokens that the model does not have, or is damaged", hint=_HINT)
    widest = max(1, int(lengths.max()))
    candidates = np.full((rows[0], widest), -1, np.int32)
    places = np.arange(num_ids) - np.repeat(offsets[:-1], lengths)
    candidates[np.repeat(np.arange(sizes[0]), lengths), places] = ids
    return ImportedShortlist(
        languages=languages,
        frequent=np.arange(first, dtype=np.int32),
        candidates=candidates,
        method="a lexical shortlist of Marian",
        multiple_of=_MULTIPLE,
    )
