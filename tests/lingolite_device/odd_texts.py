"""Texts that tokenizers written anew go wrong on, and small tokenizers to try them with."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import sentencepiece

from lingolite_cli.testing.tiny import SENTENCES, TRANSLATIONS

_CHARACTERS = [
    *map(chr, [*range(32, 127)] * 3),
    *map(chr, range(0xA0, 0x250)),
    *"\u2581\u200b\u3000Ａﬁ½№\u0301\u030a🙂👩\u200d中日аαאئ\ufffd\ue000\t\n\r\u2028🇩🇰각\u1100\u1161",
]


def train(path: Path, options: dict[str, Any]) -> Path:
    """A small SentencePiece model with these options."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*SENTENCES, *TRANSLATIONS] * 5),
        model_writer=model,
        vocab_size=420 if options.get("byte_fallback") else 160,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    path.write_bytes(model.getvalue())
    return path


def odd_texts(processor: sentencepiece.SentencePieceProcessor, count: int) -> list[str]:
    """Mixtures of words, pieces, spaces and odd characters; the same ones each time."""
    drawn = random.Random(3)
    words = [word for sentence in (*SENTENCES, *TRANSLATIONS) for word in sentence.split()]
    pieces = [processor.IdToPiece(id) for id in range(min(40, processor.GetPieceSize()))]

    def part() -> str:
        return drawn.choice(
            (drawn.choice(_CHARACTERS), drawn.choice(words) + " ", drawn.choice(words), drawn.choice(pieces), " ")
        )

    return ["".join(part() for _ in range(drawn.randrange(14))) for _ in range(count)]
