"""Places of a file's text that are translated, and how translations take them: everything else stays byte for byte.

Owns what inside a text is no language (tags, placeholders, addresses), and how a text that goes over several lines is
wrapped again. Which lines of a file are text is told by the readers of each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

# Bounded, so that no file of odd characters takes time beyond its length.
PLACEHOLDERS = (
    r"%(?:\([\w.]+\)|\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:hh|h|ll|l|q|L)?[sdifuxXeEgGcp@](?![A-Za-z])",  # printf, Python, iOS
    r"\$?\{\{[^{}]{0,200}\}\}|\{%.{0,200}?%\}|\$\{[^{}]{0,200}\}|\{[\w.:,!-]{0,200}\}",  # templates, str.format, ICU
    r"https?://[^\s<>\"')\]]*[^\s<>\"')\].,;:!?]",
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+",
)
_CLOSING = re.compile(r"[,.;:!?)\]}…%’”»]*")
TAG = r"</?[A-Za-z][^<>]*>"
"""A tag as it is written in text."""


class Span(NamedTuple):
    """A text, and where it stands.

    Attributes:
        start: of its first character in the file's text.
        end: behind its last.
        text: what is translated, on one line.
        glue: what stands between its lines in the file.
        shares: for each of these, what share of the text's characters stands before it.
        encode: how a translation is written in the file.
    """

    start: int
    end: int
    text: str
    glue: tuple[str, ...]
    shares: tuple[float, ...]
    encode: Callable[[str], str]

    def written(self, translation: str) -> str:
        """What stands at the span's place when it is translated."""
        lines = wrapped(" ".join(translation.split()), self.shares)
        pieces = [self.encode(lines[0])]
        for glue, line in zip(self.glue, lines[1:], strict=True):
            pieces += [glue, self.encode(line)]
        return "".join(pieces)


class Syntax(NamedTuple):
    """How text is written in a kind of file.

    Attributes:
        kept: matches what is no language, within a text whose lines are joined by a line feed.
        decode: what the characters of a file mean.
        encode: its opposite.
    """

    kept: re.Pattern[str]
    decode: Callable[[str], str]
    encode: Callable[[str], str]


def syntax(*patterns: str, decode: Callable[[str], str] = str, encode: Callable[[str], str] = str) -> Syntax:
    """A syntax that keeps `patterns` besides placeholders and addresses."""
    return Syntax(re.compile("|".join((*patterns, *PLACEHOLDERS)), re.DOTALL), decode, encode)


def spans_in(text: str, lines: Sequence[tuple[int, int]], how: Syntax) -> Iterator[Span]:
    """The spans of one text, which goes over `lines` of a file.

    Args:
        text: of the file.
        lines: start and end of each line's part, without the white space around it.
        how: the file's syntax.
    """
    joined = "\n".join(text[start:end] for start, end in lines)
    starts = [0]
    for start, end in lines:
        starts.append(starts[-1] + end - start + 1)
    position = 0
    for match in (*how.kept.finditer(joined), None):
        gap_end = len(joined) if match is None else match.start()
        parts = []
        if position:
            # What ends the sentence before, as a comma behind a link, is no beginning for a model.
            closing = _CLOSING.match(joined, position)
            position = closing.end() if closing else position
        for (line_start, _), begin, behind in zip(lines, starts, starts[1:], strict=False):
            low, high = max(position, begin), min(gap_end, behind - 1)
            if low < high:
                parts.append(_stripped(text, line_start + low - begin, line_start + high - begin))
        span = _span(text, [part for part in parts if part[0] < part[1]], how)
        if span is not None:
            yield span
        position = len(joined) if match is None else match.end()


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))


def _span(text: str, parts: list[tuple[int, int]], how: Syntax) -> Span | None:
    words = [" ".join(how.decode(text[start:end]).split()) for start, end in parts]
    if not any(character.isalpha() for word in words for character in word):
        return None
    total = max(1, sum(map(len, words)))
    shares = tuple(sum(map(len, words[:number])) / total for number in range(1, len(words)))
    glue = tuple(text[end:start] for (_, end), (start, _) in pairwise(parts))
    return Span(parts[0][0], parts[-1][1], " ".join(words), glue, shares, how.encode)


def wrapped(text: str, shares: Sequence[float]) -> list[str]:
    """`text` on one more line than there are shares, broken between words, as near to them as can be.

    A text with fewer words, or none between them, leaves lines empty.
    """
    lines: list[str] = []
    position = 0
    breaks = [match.start() for match in re.finditer(" ", text)]
    for share in shares:
        later = [place for place in breaks if place > position]
        wanted = share * (len(text) - len(shares)) + len(lines)
        place = min(later, key=lambda place: abs(place - wanted), default=len(text))
        lines.append(text[position:place].strip())
        position = place
    return [*lines, text[position:].strip()]


def line_parts(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The lines of a part of a file, without the white space around each; blank ones are left out."""
    parts = []
    for match in re.finditer(r"[^\n]+", text[start:end]):
        part = _stripped(text, start + match.start(), start + match.end())
        if part[0] < part[1]:
            parts.append(part)
    return parts


def spliced(text: str, pieces: Iterable[tuple[int, int, str]], *, start: int = 0, end: int | None = None) -> str:
    """A part of `text`, with other text at some places of it.

    Args:
        text: of a file.
        pieces: start, end and what stands there instead, in any order and apart from one another.
        start: of the part.
        end: behind it; None is the end of the text.
    """
    found, position = [], start
    for begin, behind, piece in sorted(pieces):
        found += [text[position:begin], piece]
        position = behind
    return "".join([*found, text[position:end]])
