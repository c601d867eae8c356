"""TMX and XLIFF (1.x and 2.x), read and written by translate-toolkit.

Owns which units are translated, and that inline elements stay where they stand. A unit that has a translation already
keeps it, unless its state says that it is new.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from lxml import etree
from translate.storage.tmx import tmxfile
from translate.storage.xliff import xlifffile
from translate.storage.xliff2 import Xliff2File

from lingolite_cli.documents.document import WrittenDocument
from lingolite_cli.documents.spans import TAG, Span, line_parts, spans_in, spliced, syntax
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.text.languages import primary_language

_SYNTAX = syntax(TAG, r"&\w+;")
_NATIVE = frozenset({"bpt", "ept", "ph", "it", "ut", "x", "bx", "ex", "sc", "ec", "cp"})
"""Inline elements whose content is code of another format."""
_NEW = frozenset({"new", "initial", "needs-translation", "needs-adaptation", "needs-l10n"})
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_DECLARATION = re.compile(r"\ufeff?<\?xml\b[^>]*\?>\s*")
_ROOT = re.compile(r"<(tmx|xliff)\b(?:[^>]*?\bversion\s*=\s*[\"']([12])\.)?")
_STORES = {
    **dict.fromkeys([("tmx", ""), ("tmx", "1"), ("tmx", "2")], tmxfile),
    **dict.fromkeys([("xliff", ""), ("xliff", "1")], xlifffile),
    ("xliff", "2"): Xliff2File,
}
_ENCODING = re.compile(r"<\?xml\b[^>]*\bencoding\s*=\s*[\"']([\w.-]+)")


def read(text: str, languages: tuple[str, str]) -> InterchangeDocument:
    """The texts of a file that have no translation yet.

    Raises:
        LingoLiteError: it is not a whole TMX or XLIFF file, or for other languages.
    """
    encoding = _ENCODING.match(text.removeprefix("\ufeff"))
    if encoding is not None and encoding[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise LingoLiteError(
            f"the file says that it is written in {encoding[1]}",
            hint=f"convert it with `iconv -f {encoding[1]} -t utf-8`, and change its first line to utf-8",
        )
    tree = _parse(text)
    root = tree.getroot()
    is_tmx = _name(root) == "tmx"
    segments = list(_tmx_segments(root, languages) if is_tmx else _xliff_segments(root, languages))
    return InterchangeDocument(text, tree, segments)


def _parse(text: str) -> Any:
    root = _ROOT.search(text)
    kind = _STORES.get((root[1], root[2] or "")) if root is not None else None
    if kind is None:
        raise LingoLiteError("neither TMX nor XLIFF 1.x or 2.x", hint="save it in one of these formats")
    try:
        return kind.parsestring(text.encode()).document
    except etree.XMLSyntaxError as error:
        raise LingoLiteError(f"not well-formed: {error}", hint="mend it, or save it again") from None
    except (AssertionError, AttributeError, StopIteration, ValueError) as error:  # the toolkit's words for what is odd
        raise LingoLiteError(f"cannot be read by translate-toolkit: {error!r}", hint="save it again") from None


class InterchangeDocument:
    """A TMX or XLIFF file.

    Args:
        text: of the file.
        tree: its elements, with a target for each text that is translated.
        targets: elements whose text is still that of their sources.
    """

    def __init__(self, text: str, tree: Any, targets: Sequence[Any]) -> None:
        self._tree = tree
        declaration = _DECLARATION.match(text)
        self._declaration = "" if declaration is None else declaration.group()
        self._end = text[len(text.rstrip()) :]
        self._slots = [slot for target in targets for slot in _slots(target)]

    @property
    def texts(self) -> list[str]:
        """What is to be translated."""
        return [span.text for slot in self._slots for span in slot.spans]

    def written(self, translations: Sequence[str]) -> WrittenDocument:
        """The file with translations."""
        rest = iter(translations)
        for slot in self._slots:
            slot.fill([next(rest) for _ in slot.spans])
        body = etree.tostring(self._tree, encoding="unicode").strip()
        return WrittenDocument(f"{self._declaration}{body}{self._end}")


class _Slot:
    """The text at the beginning of an element, or behind it."""

    def __init__(self, element: Any, where: str) -> None:
        self._element = element
        self._where = where
        self._text: str = getattr(element, where) or ""
        self.spans: list[Span] = list(spans_in(self._text, line_parts(self._text, 0, len(self._text)), _SYNTAX))

    def fill(self, translations: Sequence[str]) -> None:
        """Put translations in the places of its spans."""
        pieces = zip(self.spans, translations, strict=True)
        setattr(
            self._element,
            self._where,
            spliced(self._text, [(span.start, span.end, span.written(_legal(text))) for span, text in pieces]),
        )


def _legal(text: str) -> str:
    """`text` without the control characters that XML cannot have."""
    return "".join(character for character in text if character in "\t\n" or character >= " ")


def _slots(element: Any) -> Iterator[_Slot]:
    """The texts of a target, in order, those inside of native code left out."""
    is_kept = _name(element) in _NATIVE or element.get("translate") == "no" or element.get("mtype") == "protected"
    if not is_kept:
        yield _Slot(element, "text")
        for child in element:
            yield from _slots(child)
            yield _Slot(child, "tail")


def _name(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else "ph"  # comments are kept too


def _child(element: Any, name: str) -> Any:
    return next((child for child in element if isinstance(child.tag, str) and _name(child) == name), None)


def _xliff_segments(root: Any, languages: tuple[str, str]) -> Iterator[Any]:
    """The targets of units that have none yet, made from their sources."""
    is_second = root.get("version", "").startswith("2")
    holders = [root] if is_second else [element for element in root.iter() if _name(element) == "file"]
    for holder in holders:
        _check_languages(
            holder, ("srcLang", "trgLang") if is_second else ("source-language", "target-language"), languages
        )
    for unit in root.iter():
        if _name(unit) != ("segment" if is_second else "trans-unit") or _is_kept(unit):
            continue
        source, target = _child(unit, "source"), _child(unit, "target")
        stated = unit if is_second else target
        state = None if stated is None else stated.get("state")
        if source is None or (target is not None and _has_text(target) and state not in _NEW):
            continue
        made = deepcopy(source)
        made.tag = source.tag[: -len("source")] + "target"
        if target is None:
            _insert_behind(source, made)
        else:
            made.tail = target.tail
            made.attrib.clear()
            made.attrib.update(target.attrib)
            unit.replace(target, made)
        if state is not None:
            (unit if is_second else made).set("state", "translated" if is_second else "needs-review-translation")
        yield made


def _check_languages(element: Any, names: tuple[str, str], languages: tuple[str, str]) -> None:
    """Refuse a file for other languages, and name the target where it names none."""
    for name, language in zip(names, languages, strict=True):
        given = element.get(name)
        if given is not None and primary_language(given) != primary_language(language):
            raise LingoLiteError(
                f'{name}="{given}", and the model translates {languages[0]} to {languages[1]}',
                hint="choose another model, or --languages",
            )
        if given is None:
            element.set(name, language)


def _tmx_segments(root: Any, languages: tuple[str, str]) -> Iterator[Any]:
    """The segments of variants that are added in the target language."""
    for unit in root.iter():
        if _name(unit) != "tu":
            continue
        variants = {primary_language(_language(child)): child for child in unit if _name(child) == "tuv"}
        source, target = (variants.get(primary_language(language)) for language in languages)
        if source is None or (target is not None and _has_text(target)):
            continue
        made = deepcopy(source)
        for name in (_LANG, "lang"):
            if made.get(name) is not None:
                made.set(name, languages[1] if target is None else target.get(name, languages[1]))
        if target is None:
            _insert_behind(source, made)
        else:
            made.tail = target.tail
            unit.replace(target, made)
        segment = _child(made, "seg")
        if segment is not None:
            yield segment


def _insert_behind(element: Any, made: Any) -> None:
    """Put `made` behind its like, on a line of its own where that stands on one."""
    parent, before = element.getparent(), element.getprevious()
    made.tail = element.tail
    element.tail = parent.text if before is None else before.tail
    parent.insert(parent.index(element) + 1, made)


def _language(variant: Any) -> str:
    return str(variant.get(_LANG) or variant.get("lang") or "")


def _is_kept(unit: Any) -> bool:
    """Whether a unit, or what it stands in, says that it is not to be translated."""
    said = next(
        (element.get("translate") for element in (unit, *unit.iterancestors()) if element.get("translate")), "yes"
    )
    return bool(said == "no")


def _has_text(element: Any) -> bool:
    return bool("".join(element.itertext()).strip())
