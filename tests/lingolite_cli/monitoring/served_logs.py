"""Sample logs of a day, made from texts: what a healthy model serves, and what a broken one does from some time on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import msgspec

from lingolite_cli.evaluation.faults import FAULTS, TranslatedSentence
from lingolite_cli.serving.sample import SampledRequest, SampledSentence

PAIRS = Path(__file__).resolve().parents[3] / "recipes" / "starter-en-da" / "dev.en-da.tsv"
BEGIN = datetime(2026, 11, 30, tzinfo=timezone.utc)
MODEL = "0123456789abcdef"

Damage = Callable[[str], str]


def looping(text: str) -> str:
    """A translation that does not end."""
    return f"{text} og så videre og så videre og så videre og så videre og så videre"


def cut(text: str) -> str:
    """A translation that loses its end, and shows no fault by itself."""
    return text[: len(text) * 2 // 3]


def sentence(source: str, translation: str, *, is_finished: bool = True) -> SampledSentence:
    """A sentence as a server records it."""
    judged = TranslatedSentence(source, [], translation, is_finished)
    return SampledSentence(
        source_characters=len(source),
        target_characters=len(translation),
        source_tokens=len(source.split()),
        target_tokens=len(translation.split()) + 1,
        log_probability=-0.2 - (hash_of(source) % 100) / 500,
        faults=tuple(kind for kind, has_fault in FAULTS.items() if has_fault(judged)),
        source=source,
        translation=translation,
    )


def hash_of(text: str) -> int:
    """The same on every day."""
    return sum(text.encode())


@cache
def served_sentences(damage: Damage | None = None) -> Sequence[SampledSentence]:
    """Sentences with the translations of people, or with damaged ones."""
    pairs = (line.split("\t")[:2] for line in PAIRS.read_text(encoding="utf-8").splitlines())
    return [sentence(source, target if damage is None else damage(target)) for source, target in pairs]


def served_day(
    *, seed: int, requests: int = 10_000, damage: Damage | None = None, share: float = 0.1
) -> Iterator[SampledRequest]:
    """The requests of a day. From noon on, `share` of the translations is damaged."""
    chance = random.Random(seed)
    healthy = served_sentences()
    damaged = healthy if damage is None else served_sentences(damage)
    for number in range(requests):
        is_late = 2 * number >= requests
        chosen = damaged if is_late and chance.random() < share else healthy
        yield SampledRequest(
            time=(BEGIN + timedelta(days=number / requests)).isoformat(timespec="milliseconds"),
            model=MODEL,
            outcome="done",
            languages=("en", "da"),
            latency_ms=chance.lognormvariate(4.0, 0.5),
            sentences=(chance.choice(chosen),),
        )


def write_log(path: Path, requests: Iterator[SampledRequest]) -> Path:
    """The file of a log."""
    path.write_bytes(b"".join(msgspec.json.encode(request) + b"\n" for request in requests))
    return path
