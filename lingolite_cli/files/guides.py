"""Where the guides are: the Markdown files of docs/, which the wheel has as data of `lingolite_cli`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.errors import ExitCode, LingoLiteError, did_you_mean

_HOST = Path(__file__).parents[1]
_PLACES = (_HOST / "guides", _HOST.parent / "docs")


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """A guide: the name that it is asked for by, its first heading, and its file."""

    name: str
    title: str
    path: str

    @property
    def text(self) -> str:
        """What it says, in Markdown."""
        return Path(self.path).read_text(encoding="utf-8")


def guides() -> list[Guide]:
    """All guides by name.

    Raises:
        LingoLiteError: this installation has none.
    """
    for place in _PLACES:
        found = [Guide(name=path.stem, title=_title(path), path=str(path)) for path in sorted(place.glob("*.md"))]
        if found:
            return found
    raise LingoLiteError(
        "this installation has no guides", hint="install the wheel of lingolite", exit_code=ExitCode.PLUGIN
    )


def find_guide(name: str) -> Guide:
    """The guide of that name.

    Raises:
        LingoLiteError: there is none.
    """
    known = {guide.name: guide for guide in guides()}
    if name not in known:
        raise LingoLiteError(f"there is no guide called `{name}`", hint=did_you_mean(name, known))
    return known[name]


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return next((line.removeprefix("# ").strip() for line in lines if line.startswith("# ")), path.stem)
