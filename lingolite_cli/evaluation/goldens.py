"""Goldens: sentences with the ids, tokens and text that an artifact's own engine gives, to be replayed elsewhere.

Owns the file `golden.json` that goes with an app, and how its content is made and compared. Which sentences are taken
where a user names none is here too: plain ones, and ones on which tokenizers written anew go wrong. B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.sample_sentences import sample_sentences
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.tokenization.tokenizer import Tokenizer

GOLDEN_NAME = "golden.json"

_TRICKY = (
    "",
    "   ",
    "  two  spaces  and\ta tab ",
    "a typed </s> <tgt> <da> <pad> is text",
    "Ｆｕｌｌ ｗｉｄｔｈ, ﬁne ligatures, ½ and №5",
    "e\u0301 is é, and A\u030a is Å",
    "🙂 👩‍👩‍👧 and \u200bzero width",
    "3.14 × 10⁵ = 314,000; 100% of $5",
    "https://example.org/a?b=c#d, user@example.org",
    "ÆØÅ æøå, ß, İstanbul, ñandú",
    "日本語とрусский και ελληνικά",
    "▁ is a block, and ▁▁ are two",
    "Supercalifragilisticexpialidocious antidisestablishmentarianism",
    "WHY IS THIS IN CAPITALS?!",
    '"Quoted," he said — “and so on…”',
)
"""What normalization, segmentation and byte fallback are tested by; not chosen for being translated well."""


class Golden(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sentence and what becomes of it.

    Attributes:
        source: one sentence, perhaps empty.
        ids: of the framed source, cut to the model's positions.
        tokens: generated ids, the end token included where it was reached; none for an empty source.
        text: their text.
    """

    source: str
    ids: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact's own tokenizer and loop made of the sources of goldens.

    Attributes:
        runtime: the engine and its version.
        seconds: CPU time, or where that is not known, time.
        sentences: as the goldens are, in their order.
    """

    runtime: str
    seconds: float
    sentences: tuple[Golden, ...]


class Goldens(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of `golden.json`.

    Attributes:
        schema: version of this layout.
        source_language: of all sources.
        target_language: of all texts.
        artifact: digest of the artifact that gave tokens and texts.
        backend: name of the backend that ran it.
        decoding: how it searched: greedily. `max_length` is within the model's positions.
        sentences: in the order in which they were given.
    """

    schema: Literal[1] = 1
    source_language: str
    target_language: str
    artifact: str
    backend: str
    decoding: DecodingOptions
    sentences: tuple[Golden, ...]

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target language."""
        return self.source_language, self.target_language


class GoldenDifference(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing in which a replayed sentence is another one.

    Attributes:
        source: the sentence.
        what: the field of `Golden`.
        expected: its value in the goldens.
        found: its value in the replay.
    """

    source: str
    what: Literal["ids", "tokens", "text"]
    expected: Any
    found: Any


def default_sources(language: str) -> tuple[str, ...]:
    """Sentences for goldens in a language where a user names none."""
    return (*sample_sentences(language), *_TRICKY)


def read_sources(path: Path) -> tuple[str, ...]:
    """Sentences for goldens from a file, one a line.

    Raises:
        LingoLiteError: it cannot be read, is not UTF-8, or has no sentence.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise LingoLiteError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LingoLiteError(f"{path} is not UTF-8", hint="save it as UTF-8, one sentence a line") from None
    lines = tuple(line.removesuffix("\r") for line in text.split("\n"))
    sources = lines[:-1] if not lines[-1] else lines
    if not any(source.strip() for source in sources):
        raise LingoLiteError(f"{path} has no sentence", hint="write one sentence a line")
    return sources


def translated_pairs(artifact: Artifact) -> list[tuple[str, str]]:
    """Pairs of the model's languages between which it translates, in their order."""
    from lingolite_cli.tokenization.opening import open_tokenizer

    tokenizer = open_tokenizer(artifact)
    return [pair for pair in permutations(artifact.manifest.languages, 2) if _translates(tokenizer, pair)]


def default_languages(artifact: Artifact) -> tuple[str, str]:
    """The first of the model's languages into the second; where it does not translate so, the first pair that it does.

    Raises:
        LingoLiteError: the model names no two languages.
    """
    pairs = translated_pairs(artifact)
    if not pairs:
        known = ", ".join(artifact.manifest.languages) or "none"
        raise LingoLiteError(
            f"{artifact.path} names no two languages to translate between: {known}",
            hint="name them when the model is imported",
        )
    return pairs[0]


def make_goldens(
    artifact: Artifact, *, sources: Sequence[str], languages: tuple[str, str], backend: str | None = None
) -> Goldens:
    """Translate sentences one by one, greedily, with one thread.

    Args:
        artifact: what ships, or what it was made from.
        sources: one sentence each.
        languages: source and target language.
        backend: name of an installed backend; None for the first that runs the artifact's format.

    Raises:
        LingoLiteError: no backend runs it, or it cannot translate between the languages.
    """
    # Whoever reads or compares goldens needs no engine and no tokenizer.
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.plugins.registry import load_registry
    from lingolite_cli.tokenization.opening import open_tokenizer

    loaded = load_registry().backend_running(artifact.manifest.format, backend)
    tokenizer = open_tokenizer(artifact)
    model, ids = artifact.manifest.model, tokenizer.decoding_ids(languages)
    options = greedy_decoding(artifact, num_prefix=len(ids.prefix))
    with closing(loaded.open(artifact, threads=1)) as opened:
        translator = Translator(
            opened,
            tokenizer,
            model,
            languages,
            options=options,
            batch_size=1,
            capabilities=loaded.spec.capabilities,
        )
        found = list(translator.translate(sources))
    return Goldens(
        source_language=languages[0],
        target_language=languages[1],
        artifact=artifact.digest,
        backend=loaded.spec.name,
        decoding=options,
        sentences=tuple(
            Golden(
                source=source,
                ids=tuple(translator.source_ids(source)),
                tokens=translation.tokens,
                text=translation.text,
            )
            for source, translation in zip(sources, found, strict=True)
        ),
    )


def greedy_decoding(artifact: Artifact, *, num_prefix: int) -> DecodingOptions:
    """How goldens are searched for: as the artifact says, but greedily, within its positions.

    Args:
        artifact: what is translated by.
        num_prefix: tokens of the forced prefix of a target.
    """
    from lingolite_cli.decoding.translator import within_positions

    greedy = msgspec.structs.replace(artifact.manifest.decoding, beam_size=1, n_best=1)
    return within_positions(greedy, artifact.manifest.model.max_seq_len - num_prefix)


def write_goldens(goldens: Goldens, path: Path) -> None:
    """Write `golden.json`, a sentence a line; equal goldens give equal bytes."""
    head = msgspec.json.encode(msgspec.structs.replace(goldens, sentences=())).removesuffix(b"]}")
    path.write_bytes(head + b"\n" + b",\n".join(map(msgspec.json.encode, goldens.sentences)) + b"\n]}\n")


def read_goldens(path: Path) -> Goldens:
    """Read `golden.json`, strictly.

    Raises:
        LingoLiteError: it cannot be read, or is not such a file.
    """
    try:
        return decode_goldens(path.read_bytes(), where=path)
    except OSError as error:
        raise LingoLiteError(f"{path} cannot be read: {error.strerror}") from None


def decode_goldens(data: bytes, *, where: Path) -> Goldens:
    """As `read_goldens`, from the content of the file `where`."""
    try:
        return msgspec.json.decode(data, type=Goldens)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LingoLiteError(f"{where} has no goldens: {error}", hint="export the artifact again") from None


def compare_goldens(expected: Sequence[Golden], found: Sequence[Golden]) -> list[GoldenDifference]:
    """The first difference of each sentence that was replayed otherwise; ids are compared before tokens and text."""
    differences = []
    for golden, replayed in zip(expected, found, strict=True):
        for what in ("ids", "tokens", "text"):
            values = getattr(golden, what), getattr(replayed, what)
            if values[0] != values[1]:
                differences.append(
                    GoldenDifference(source=golden.source, what=what, expected=values[0], found=values[1])
                )
                break
    return differences


def _translates(tokenizer: Tokenizer, languages: tuple[str, str]) -> bool:
    try:
        tokenizer.check_languages(languages)
    except LingoLiteError:
        return False
    return True
