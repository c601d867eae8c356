"""Odd strings, and SentencePiece models trained on a few sentences: what foreign tokenizers are tested with."""

from __future__ import annotations

import io
import random
from typing import Any

import sentencepiece

SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and nobody knows why.",
    "A rápida raposa castanha salta sobre o cão preguiçoso; ninguém sabe porquê.",
    "Press Ctrl+C to copy, <b>bold</b> for emphasis, and 3.14 < 22/7.",
    "Wo ist der Bahnhof? Er ist dort drüben, hinter der großen Brücke.",
    "100 % of 2,000 files (1.5 GB) were copied to /home/user/_old_ on 2026-11-29.",
    "東京は日本の首都です。 日本語の文。",
    "Быстрая коричневая лиса прыгает через ленивую собаку.",
)

_PARTS = (
    *(
        "🙂",
        "👩‍👩‍👧",
        "🇵🇹",
        "\u0007",
        "\u200b",
        "\u200d",
        "\u202e",
        "\u2066",
        "\ufeff",
        "\u00ad",
        "\u0301",
        "e\u0301\u0327",
    ),
    *(" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", " " * 300, "\u2581", "\u2581\u2581", "\u2423"),
    *(
        "</s>",
        "<s>",
        "<unk>",
        "<pad>",
        ">>por<<",
        ">>de",
        "__en__",
        "__pt__",
        "eng_Latn",
        "por_Latn",
        "<2pt>",
        "<mask>",
    ),
    *("<extra_id_0>", "<0x41>", "<src>", "<tgt>", "<da>", "&amp;", "\\n", "{source}", "%s", "\x1b[31m", "\ufffd"),
    *("東京", "日本", "ﬁ", "Å", "①", "ﷺ", "क्षि", "שלום", "مرحبا", "ไทย", "가나", "\U0001d54f", "ß", "İ", "ǆ"),
    *(
        "the",
        "fox",
        "Ctrl+C",
        "3.14",
        "raposa",
        "ninguém",
        ".",
        ",",
        "-",
        "—",
        "…",
        "«",
        "''",
        '"',
        "x" * 200,
        "0" * 50,
    ),
)


def odd_texts(count: int = 2000, *, seed: int = 5) -> list[str]:
    """Each part alone, some whole sentences, and parts thrown together."""
    chance = random.Random(seed)
    texts = ["", *_PARTS, *SENTENCES]
    while len(texts) < count:
        chosen = chance.choices(_PARTS, k=chance.randint(1, 8))
        if chance.random() < 0.3:
            chosen.insert(chance.randint(0, len(chosen)), chance.choice(SENTENCES))
        texts.append(chance.choice(("", " ")).join(chosen))
    return texts


def train_model(**settings: Any) -> bytes:
    """A SentencePiece model of `SENTENCES`."""
    model = io.BytesIO()
    defaults: dict[str, Any] = {
        "vocab_size": 260,
        "hard_vocab_limit": False,
        "character_coverage": 1.0,
        "num_threads": 1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4), model_writer=model, **{**defaults, **settings}
    )
    return model.getvalue()
