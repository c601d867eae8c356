"""The licence that a model card states: the front matter of README.md."""

from __future__ import annotations

from pathlib import Path

import yaml

_LARGEST_CARD = 1 << 20
_LONGEST_NAME = 200


def stated_licence(path: Path) -> str | None:
    """The `license` of the model card in a directory; None where there is none."""
    try:
        if not (path / "README.md").is_file():
            return None  # a pipe of that name would be waited for
        text = (path / "README.md").read_bytes()[:_LARGEST_CARD].decode(errors="replace")
        if not text.startswith("---\n"):
            return None
        card = yaml.safe_load(text[4:].split("\n---", maxsplit=1)[0])
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return None  # a card is prose for people; one that cannot be read states nothing
    found = card.get("license") if isinstance(card, dict) else None
    return found if isinstance(found, str) and found.strip() and len(found) <= _LONGEST_NAME else None
