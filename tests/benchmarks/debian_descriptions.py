"""A test set of Debian's package descriptions with their translations, large enough for verdicts on small losses.

    python tests/benchmarks/debian_descriptions.py Translation-en.bz2 Translation-pt_BR.bz2 --lines 4000 --out test.tsv

Both files are in `dists/bookworm/main/i18n/` of any mirror of Debian. Takes paragraphs of one sentence and 6 to 40
words, each source once, in an order that is drawn with a fixed seed. With `--several`, also the sentences of longer
paragraphs whose translation has as many, where each is about as long as its translation.
"""

from __future__ import annotations

import argparse
import bz2
import lzma
import random
import re
from collections.abc import Iterator
from pathlib import Path

from lingolite_cli.decoding.sentences import split_sentences

_OPENERS = {".bz2": bz2.decompress, ".xz": lzma.decompress}
_KEY = re.compile(r"^Description-md5: (\w+)", re.MULTILINE)
_TEXT = re.compile(r"^Description-(?!md5)[\w@]+: .*((?:\n .*)*)", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_FEWEST_WORDS, _MOST_WORDS = 6, 40
_LONGEST_RATIO = 1.6
"""Of a sentence and its translation, in characters: beyond it, one paragraph was divided otherwise than the other."""


def descriptions(path: Path) -> dict[str, list[list[str]]]:
    """The paragraphs of each description, as lines, by the digest of the English text."""
    content = _OPENERS.get(path.suffix, bytes)(path.read_bytes()).decode()
    found = {}
    for block in content.split("\n\n"):
        key, text = _KEY.search(block), _TEXT.search(block)
        if key and text:
            paragraphs: list[list[str]] = [[]]
            for line in text[1].split("\n")[1:]:
                if line.strip() == ".":
                    paragraphs.append([])
                else:
                    paragraphs[-1].append(line[1:])
            found[key[1]] = paragraphs
    return found


def pairs(source: Path, target: Path, *, several: bool) -> Iterator[tuple[str, str]]:
    """Sentences that stand at the same place of a description and of its translation, each source once."""
    seen = set()
    for paragraphs in _paragraphs(source, target):
        for first, second in [paragraphs, *(_sentences(*paragraphs) if several else [])]:
            if first not in seen and _is_sentence(first) and second.endswith(".") and first != second:
                seen.add(first)
                yield first, second


def _paragraphs(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    originals, translations = descriptions(source), descriptions(target)
    for key in sorted(originals.keys() & translations.keys()):
        both = originals[key], translations[key]
        if len(both[0]) != len(both[1]):
            continue
        for lines in zip(*both, strict=True):
            if any(line.startswith((" ", "-", "*")) for side in lines for line in side):
                continue  # a list, or text that is set as it stands
            first, second = (" ".join(line.strip() for line in side) for side in lines)
            yield first, second


def _sentences(source: str, target: str) -> Iterator[tuple[str, str]]:
    """The sentences of two paragraphs that have as many, but for those whose lengths say that they are no pair."""
    both = split_sentences(source, "en").sentences, split_sentences(target, "pt").sentences
    if len(both[0]) != len(both[1]) or len(both[0]) == 1:
        return
    for first, second in zip(*both, strict=True):
        if max(len(first), len(second)) <= _LONGEST_RATIO * min(len(first), len(second)) and _is_one(second):
            yield first, second


def _is_one(text: str) -> bool:
    return text.endswith(".") and len(_SENTENCE_END.findall(text)) == 1 and "\t" not in text


def _is_sentence(text: str) -> bool:
    return _is_one(text) and _FEWEST_WORDS <= len(text.split()) <= _MOST_WORDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--lines", type=int, default=4000)
    parser.add_argument("--several", action="store_true", help="also paragraphs of several sentences")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = list(pairs(given.source, given.target, several=given.several))
    random.Random(0).shuffle(found)
    given.out.write_text("".join(f"{source}\t{target}\n" for source, target in found[: given.lines]), encoding="utf-8")
    print(f"{min(given.lines, len(found)):,} of {len(found):,} sentences")


if __name__ == "__main__":
    main()
