"""A test set of Debian's package descriptions with their translations, large enough for verdicts on small losses.

    python tests/benchmarks/debian_descriptions.py Translation-en.bz2 Translation-pt_BR.bz2 --lines 4000 --out test.tsv

Both files are in `dists/bookworm/main/i18n/` of any mirror of Debian. Takes paragraphs of one sentence and 6 to 40
words, each source once, in an order that is drawn with a fixed seed.
"""

from __future__ import annotations

import argparse
import bz2
import lzma
import random
import re
from collections.abc import Iterator
from pathlib import Path

_OPENERS = {".bz2": bz2.decompress, ".xz": lzma.decompress}
_KEY = re.compile(r"^Description-md5: (\w+)", re.MULTILINE)
_TEXT = re.compile(r"^Description-(?!md5)[\w@]+: .*((?:\n .*)*)", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_FEWEST_WORDS, _MOST_WORDS = 6, 40


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


def pairs(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Sentences that stand at the same place of a description and of its translation."""
    originals, translations = descriptions(source), descriptions(target)
    seen = set()
    for key in sorted(originals.keys() & translations.keys()):
        both = originals[key], translations[key]
        if len(both[0]) != len(both[1]):
            continue
        for lines in zip(*both, strict=True):
            if any(line.startswith((" ", "-", "*")) for side in lines for line in side):
                continue  # a list, or text that is set as it stands
            first, second = (" ".join(line.strip() for line in side) for side in lines)
            if first not in seen and _is_sentence(first) and second.endswith(".") and first != second:
                seen.add(first)
                yield first, second


def _is_sentence(text: str) -> bool:
    is_one = text.endswith(".") and len(_SENTENCE_END.findall(text)) == 1 and "\t" not in text
    return is_one and _FEWEST_WORDS <= len(text.split()) <= _MOST_WORDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--lines", type=int, default=4000)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = list(pairs(given.source, given.target))
    random.Random(0).shuffle(found)
    given.out.write_text("".join(f"{source}\t{target}\n" for source, target in found[: given.lines]), encoding="utf-8")
    print(f"{min(given.lines, len(found)):,} of {len(found):,} sentences")


if __name__ == "__main__":
    main()
