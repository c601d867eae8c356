"""Subtitles: SubRip (.srt) and WebVTT (.vtt).

Owns which lines are text. Numbers, times, settings, notes and styles of cues are kept, and so are the tags in their
text; a cue keeps its number of lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lingolite_cli.documents.document import SplicedDocument
from lingolite_cli.documents.formatting import HTML
from lingolite_cli.documents.spans import TAG, spans_in, syntax

_SYNTAX = syntax(r"\{\\[^{}]*\}", TAG, r"<\d[^<>]*>", r"(?<![^\n>}])[-–—♪♫#]+(?=\s)", r"[♪♫]", r"&\w+;")
_TIMES = re.compile(r"[ \t]*-?(?:\d+:)?\d{1,2}:\d{1,2}[,.]\d{1,3}[ \t]*-->[ \t]*-?(?:\d+:)?\d{1,2}:\d{1,2}[,.]\d{1,3}")
_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_SPEAKER = re.compile(r"[ \t]*(?:</?[A-Za-z][^<>]*>|\{\\[^{}]*\})*[ \t]*[-–—♪♫]")


def read(text: str, languages: tuple[str, str]) -> SplicedDocument:
    """The texts of a file's cues."""
    spans = [span for lines in _texts(text) for span in spans_in(text, lines, _SYNTAX)]
    return SplicedDocument(text, spans, tags=HTML)


def _texts(text: str) -> Iterator[list[tuple[int, int]]]:
    """Lines that are one text: those of a cue, or what each of its speakers says."""
    is_webvtt = text.lstrip("\ufeff").startswith("WEBVTT")
    lines = [(match.start(), match.group()) for match in _LINE.finditer(text)]
    found: list[tuple[int, int]] = []
    is_cue = False
    for (start, line), (_, following) in zip(lines, [*lines[1:], (0, "")], strict=True):
        words = line.strip("\ufeff \t\r\n")
        is_number = words.isdecimal() and _TIMES.match(following)
        if not words or is_number or _TIMES.match(line) or _SPEAKER.match(line):
            yield found
            found = []
        if _TIMES.match(line):
            is_cue = True
        elif is_number or (is_webvtt and not words):  # a cue of SubRip may have blank lines, up to the next number
            is_cue = False
        elif is_cue and words:
            begin = start + line.index(words)
            found.append((begin, begin + len(words)))
    yield found
