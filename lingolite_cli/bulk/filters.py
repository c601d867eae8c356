"""Filters of corpora: why a line is left out, as functions of the line, each under the name of its reason.

Owns the reasons. Kinds of faults are the degeneration guard's; their tests are `lingolite_cli.evaluation.faults`'s.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.evaluation.faults import FAULTS, MIN_LENGTH, faults_without_reference
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.plugins.extras import CORPORA, require
from lingolite_cli.text.languages import has_spaces, primary_language
from lingolite_cli.text.visible import has_visible_text

Test: TypeAlias = Callable[[CorpusLine], bool]
"""Whether a line is to be left out."""

_ALIKE = (
    frozenset({"da", "no", "nb", "nn"}),
    frozenset({"hr", "bs", "sr"}),
    frozenset({"id", "ms", "jv"}),
    frozenset({"cs", "sk"}),
)
"""Languages that a classifier confuses in single sentences."""
_CACHE_KIB = 64 << 10


class FilterOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What filters are told.

    Attributes:
        max_ratio: of `lengths`: largest ratio of the longer to the shorter side, in characters.
        max_words: of `long`: most words of a side; of characters in languages without spaces.
        min_score: of `score`: lowest score of a translation.
        certainty: of `language`: how sure the classifier must be that a side is in another language.
        duplicates: of `duplicates`: whether lines are alike when both sides are, or when their sources are.
    """

    max_ratio: Annotated[float, Meta(ge=1.0)] = 3.0
    max_words: Annotated[int, Meta(ge=1)] = 200
    min_score: float = -2.0
    certainty: Annotated[float, Meta(ge=0.5, le=1.0)] = 0.95
    duplicates: Literal["pair", "source"] = "pair"


EXTRA_FILTERS = ("language",)
"""Those that need the extra `corpora`."""
PARALLEL_FILTERS = ("failed", *(kind for kind in FAULTS if kind not in ("empty", "loops")), "score")
"""Those that need a target."""
FILTERS = ("empty", "failed", "long", *(kind for kind in FAULTS if kind != "empty"), "score", "language", "duplicates")
"""All filters, in the order in which a line meets them: the first that leaves it out is counted."""
DEFAULT_FILTERS = tuple(name for name in FILTERS if name not in (*EXTRA_FILTERS, "score"))


def chosen_filters(names: Sequence[str], languages: Sequence[str]) -> tuple[str, ...]:
    """Filters by name, in the order in which lines meet them.

    Args:
        names: none is the default: all but `score`, and those that need an extra.
        languages: of the corpus, two or one.

    Raises:
        LingoLiteError: a filter does not exist, needs a target where there is none, or an extra that is not installed.
    """
    for name in names:
        if name not in FILTERS:
            raise LingoLiteError(f"there is no filter `{name}`", hint=did_you_mean(name, FILTERS))
        if len(languages) == 1 and name in PARALLEL_FILTERS:
            raise LingoLiteError(
                f"the filter `{name}` compares two sides, and this text has one",
                hint=f"for monolingual text: {', '.join(one for one in FILTERS if one not in PARALLEL_FILTERS)}",
            )
        if name in EXTRA_FILTERS:
            require(CORPORA, what=f"the filter `{name}`")
    wanted = names or [name for name in DEFAULT_FILTERS if len(languages) == 2 or name not in PARALLEL_FILTERS]
    return tuple(name for name in FILTERS if name in wanted)


class LineFilter:
    """Says of each line why it is left out, if it is.

    Args:
        names: of filters, in order.
        languages: of the corpus.
        options: of the filters.
        seen: remembers lines for `duplicates`.
    """

    def __init__(
        self, names: Sequence[str], languages: Sequence[str], options: FilterOptions, *, seen: SeenLines
    ) -> None:
        tests: dict[str, Test] = {
            "empty": _is_empty,
            "failed": lambda line: line.error is not None,
            "long": _is_long(languages, options.max_words),
            "lengths": _has_odd_lengths(options.max_ratio),
            "score": lambda line: line.score is not None and line.score < options.min_score,
            "duplicates": lambda line: not seen.add(_identity(line, options)),
        }
        if "language" in names:
            tests["language"] = _is_in_another_language(languages, options.certainty)
        self._kinds = [name for name in names if name in FAULTS and name not in tests]
        self._tests = [(name, tests.get(name)) for name in names]
        self._languages = languages

    def reason(self, line: CorpusLine) -> str | None:
        """The name of the first filter that leaves it out; None where it stays."""
        faults: frozenset[str] | None = None
        for name, is_left_out in self._tests:
            if is_left_out is not None:
                if is_left_out(line):
                    return name
                continue
            if faults is None:
                faults = self._faults(line)
            if name in faults:
                return name
        return None

    def _faults(self, line: CorpusLine) -> frozenset[str]:
        """Kinds that the line shows now, and those that only the search that made it could see."""
        if line.target is None:
            loops = faults_without_reference("", line.source, is_finished=True, languages=("", self._languages[0]))
            return frozenset({"loops"} & set(loops))
        found = faults_without_reference(
            line.source,
            line.target,
            is_finished="unfinished" not in line.faults,
            languages=(self._languages[0], self._languages[-1]),
        )
        return frozenset(found)


def _is_empty(line: CorpusLine) -> bool:
    is_without_target = line.target is not None and not has_visible_text(line.target)
    return is_without_target or not has_visible_text(line.source)


def _is_long(languages: Sequence[str], max_words: int) -> Test:
    def length(text: str, language: str) -> int:
        return len(text.split()) if has_spaces(language) else sum(map(str.isalnum, text))

    def is_long(line: CorpusLine) -> bool:
        sides = [line.source] if line.target is None else [line.source, line.target]
        return any(length(text, tag) > max_words for text, tag in zip(sides, languages, strict=False))

    return is_long


def _has_odd_lengths(max_ratio: float) -> Test:
    def has_odd_lengths(line: CorpusLine) -> bool:
        if line.target is None or max(len(line.source), len(line.target)) < MIN_LENGTH:
            return False
        shorter, longer = sorted((len(line.source), len(line.target)))
        return longer > max_ratio * shorter

    return has_odd_lengths


def _identity(line: CorpusLine, options: FilterOptions) -> bytes:
    parts = [line.source] if options.duplicates == "source" else [line.source, line.target or ""]
    return "\n".join(" ".join(part.split()) for part in parts).encode()


def _is_in_another_language(languages: Sequence[str], certainty: float) -> Test:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    tags = [primary_language(language) for language in languages]
    for tag in tags:
        if tag not in identifier.labels:
            raise LingoLiteError(f"the filter `language` does not know the language `{tag}`", hint="leave it out")

    def is_other(text: str, tag: str) -> bool:
        found, confidence = identifier.classify(text)
        is_alike = any({found, tag} <= group for group in _ALIKE)
        return found != tag and not is_alike and confidence >= certainty

    def is_in_another_language(line: CorpusLine) -> bool:
        sides = [line.source] if line.target is None else [line.source, line.target]
        return any(is_other(text, tag) for text, tag in zip(sides, tags, strict=False))

    return is_in_another_language


class SeenLines:
    """Lines that were met, on disk: 64 bits of each. Memory stays flat, whatever the number.

    Among a hundred million lines, one is taken for another with a probability of 0.0003.

    Args:
        connection: to a database of its own.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("CREATE TABLE seen (line INTEGER PRIMARY KEY)")

    def add(self, identity: bytes) -> bool:
        """Remember a line; whether it is new."""
        number = int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "big", signed=True)
        return self._connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (number,)).rowcount == 1


@contextmanager
def seen_lines() -> Iterator[SeenLines]:
    """An empty memory of lines, among the machine's temporary files until the block ends."""
    with scratch_directory() as directory, closing(sqlite3.connect(Path(directory) / "seen.sqlite")) as connection:
        yield SeenLines(connection)
