"""SentencePiece training in LingoLite's own format, which `lingolite_cli.tokenization.lingolite` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece

from lingolite_cli.corpora.pairs import BadRows, Text, good_pairs, read_rows
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.tokenization.lingolite import special_pieces

_MAX_SENTENCES = 1_000_000


def train_tokenizer(texts: Iterable[Text], path: Path, *, languages: Sequence[str], vocab_size: int) -> Path:
    """Train a unigram model (Kudo 2018, arXiv:1804.10959) with byte fallback on both sides of the texts.

    Args:
        texts: to learn from.
        path: the `.model` file to write.
        languages: each gets a tag.
        vocab_size: pieces, control tokens and bytes included.

    Raises:
        LingoLiteError: the text has too few different pieces for `vocab_size`, or it is too small for the bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids, frame = LINGOLITE.ids, LINGOLITE.frame
    fixed = [piece for piece in frame.pieces if piece not in special_pieces(LINGOLITE)]
    try:
        with path.open("wb") as stream:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_sentences(dict.fromkeys(text.paths for text in texts)),
                model_writer=stream,
                model_type="unigram",
                vocab_size=vocab_size,
                character_coverage=1.0,
                byte_fallback=True,
                pad_id=ids.pad,
                bos_id=ids.start,
                eos_id=ids.end,
                unk_id=ids.unknown,
                user_defined_symbols=[*fixed, *map(frame.tag, languages)],
                input_sentence_size=_MAX_SENTENCES,
                shuffle_input_sentence=True,
                num_threads=1,
                minloglevel=2,
            )
    except RuntimeError as error:
        path.unlink(missing_ok=True)
        reason = str(error).strip().splitlines()[-1]
        raise LingoLiteError(
            f"cannot make a tokenizer of {vocab_size} pieces from this text: {reason}",
            hint="set another vocab_size; 256 pieces are bytes",
        ) from None
    return path


def _sentences(texts: Iterable[tuple[Path, ...]]) -> Iterator[str]:
    """Both sides of every good pair; what is wrong with the others is reported when they are read to train on."""
    for paths in texts:
        for pair in good_pairs(read_rows(paths), BadRows(str(paths[0]))):
            yield pair.source
            yield pair.target
