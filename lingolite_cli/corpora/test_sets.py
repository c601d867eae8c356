"""Public test sets in sacreBLEU's own data directory: `$SACREBLEU`, or `~/.sacrebleu`.

Owns where their files lie there. Nothing is downloaded: sacreBLEU does that when it is asked to, with its checksums.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.text.languages import primary_language

_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)*")


def test_set_files(name: str, languages: tuple[str, str]) -> list[Path]:
    """The files of a test set: sources, then references.

    Args:
        name: sacreBLEU's, such as `wmt22` or `mtedx/valid`.
        languages: source and target; their tags may be longer than sacreBLEU's (`eng_Latn` is `en`).

    Raises:
        LingoLiteError: it is not there.
    """
    if not _NAME.fullmatch(name) or ".." in name.split("/"):
        raise LingoLiteError(f"test set `{name}`: no name of sacreBLEU's", hint="for example `wmt22`")
    directory = Path(os.environ.get("SACREBLEU") or Path.home() / ".sacrebleu") / name
    stem = name.replace("/", "_")
    pairs = {path.name.removeprefix(f"{stem}.").removesuffix(".src") for path in directory.glob(f"{stem}.*.src")}
    pair = _matching(languages, pairs)
    if pair is None:
        wanted = "-".join(map(primary_language, languages))
        there = f"; there: {', '.join(sorted(pairs))}" if pairs else ""
        raise LingoLiteError(
            f"the test set {name} for {wanted} is not in {directory}{there}",
            hint=f"download it with `sacrebleu -t {name} -l {wanted} --echo src > {os.devnull}`, if sacreBLEU has it",
        )
    references = sorted([*directory.glob(f"{stem}.{pair}.ref"), *directory.glob(f"{stem}.{pair}.ref[-:]*")])
    if not references:
        raise LingoLiteError(f"{directory} has no references of {name} for {pair}", hint="download the set again")
    return [directory / f"{stem}.{pair}.src", *references]


def _matching(languages: tuple[str, str], pairs: set[str]) -> str | None:
    if "-".join(languages) in pairs:
        return "-".join(languages)
    wanted = [primary_language(language) for language in languages]
    return next((pair for pair in sorted(pairs) if [primary_language(tag) for tag in pair.split("-")] == wanted), None)
