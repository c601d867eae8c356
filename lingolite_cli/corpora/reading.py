"""Text in the forms that people have, as lines of a corpus: files of lines, TSV, JSON lines, TMX; plain or gzip.

Owns how forms are recognized and read, one line at a time. A row that cannot be read is refused with its place, or
counted and left out; never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Literal, get_args
from xml.etree.ElementTree import Element, ParseError, iterparse

import msgspec

from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.corpora.pairs import BadRows
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.files.text import open_again, read_lines, unpacked, unpacked_name
from lingolite_cli.text.languages import primary_language

TextForm = Literal["text", "tsv", "jsonl", "tmx"]
COLUMNS = ("source", "target", "provenance", "licence")
IGNORED = "-"
"""Name of a column that is not read."""
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_CODES = frozenset({"bpt", "ept", "it", "ph", "ut"})
"""Elements of TMX that hold markup of the document that the text was taken from, not text."""


class TextFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files of text, and what they are.

    Attributes:
        form: of the files.
        paths: one file; or two of lines, of which line n of one translates line n of the other.
        languages: of source and target; of monolingual text, the one.
        columns: of TSV files, by what each holds; `-` is not read. None is source, target, provenance, licence, as many
            as there are.
    """

    form: TextForm
    paths: tuple[Path, ...]
    languages: tuple[str, ...]
    columns: tuple[str, ...] | None = None


def recognized(
    paths: Sequence[Path], *, form: TextForm | None, languages: tuple[str, ...], columns: tuple[str, ...] | None = None
) -> TextFiles:
    """What files are: as their user says, or by their names.

    Args:
        paths: one file, two files of lines, or the common beginning of `NAME.SRC` and `NAME.TGT`, plain or gzip.
        form: what the user says, as `named_form` has it; None leaves it to names.
        languages: of source and target, or one.
        columns: of TSV files.

    Raises:
        LingoLiteError: a file is not there, or the number of files, languages or columns does not fit.
    """
    found = _aligned(paths[0], languages) if len(paths) == 1 and not paths[0].exists() else tuple(paths)
    for path in found:
        if not path.exists():
            raise LingoLiteError(f"no such file: {path}")
        if path.is_dir():
            raise LingoLiteError(f"{path} is a directory", hint="files of text become a corpus")
    if len(found) > 2:
        raise LingoLiteError(
            f"{len(found)} files: a corpus is made of one, or of two whose lines translate each other",
            hint="import them one by one, or join them first",
        )
    chosen = form or ("text" if len(found) == 2 else form_by_name(found[0]))
    if chosen != "text" and len(found) != 1:
        raise LingoLiteError(f"{chosen} is one file, not {len(found)}", hint="files of lines alone come in twos")
    if chosen == "text" and len(found) != len(languages):
        raise LingoLiteError(
            f"{len(found)} file{'s' * (len(found) > 1)} of lines and {len(languages)} languages do not fit",
            hint="pass --languages en-da with two files, or --languages en with one",
        )
    if columns is not None and chosen != "tsv":
        raise LingoLiteError(f"--columns: {chosen} has none", hint="they are those of a .tsv file")
    files = TextFiles(form=chosen, paths=found, languages=languages, columns=columns)
    _check_columns(files)
    return files


def named_form(name: str | None, *, flag: str) -> TextForm | None:
    """A form by its name.

    Raises:
        LingoLiteError: there is no such form.
    """
    if name is not None and name not in get_args(TextForm):
        raise LingoLiteError(f"{flag} {name}: no such form", hint=did_you_mean(name, get_args(TextForm)))
    return None if name is None else _form(name)


def _form(name: str) -> TextForm:
    form: TextForm = msgspec.convert(name, TextForm)
    return form


def form_by_name(path: Path) -> TextForm:
    """The form of a file, as its name tells; lines where it tells nothing."""
    name = unpacked_name(path).lower()
    endings = {".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".tmx": "tmx"}
    return _form(next((form for ending, form in endings.items() if name.endswith(ending)), "text"))


def _aligned(stem: Path, languages: tuple[str, ...]) -> tuple[Path, ...]:
    """`corpus` as `corpus.en` and `corpus.da`, as Moses has them; the path itself where these are not there."""
    found = []
    for language in languages:
        plain = stem.with_name(f"{stem.name}.{language}")
        packed = [plain.with_name(f"{plain.name}{ending}") for ending in (".gz", ".zst")]
        found.append(next((path for path in (plain, *packed) if path.exists()), packed[0]))
    return tuple(found) if len(found) == 2 and any(path.exists() for path in found) else (stem,)


def _check_columns(files: TextFiles) -> None:
    if files.columns is None:
        return
    for name in files.columns:
        if name not in (*COLUMNS, IGNORED):
            raise LingoLiteError(f"--columns {name}: no such column", hint=f"{', '.join(COLUMNS)}, or {IGNORED}")
    needed = COLUMNS[: len(files.languages)]
    for name in needed:
        if files.columns.count(name) != 1:
            raise LingoLiteError(f"--columns: {name} must be named once", hint=f"for example {','.join(COLUMNS)}")


def read_text(files: TextFiles, bad: BadRows) -> Iterator[CorpusLine]:
    """The lines of files, in order; rows that cannot be read go to `bad`.

    Raises:
        LingoLiteError: a file cannot be read, is damaged, or is not of its form; two files differ in length; or bad
            rows are refused.
    """
    read: dict[TextForm, Callable[[TextFiles, BadRows], Iterator[CorpusLine]]] = {
        "text": _read_lines,
        "tsv": _read_tsv,
        "jsonl": _read_json,
        "tmx": _read_tmx,
    }
    return read[files.form](files, bad)


def _read_lines(files: TextFiles, bad: BadRows) -> Iterator[CorpusLine]:
    for number, row in enumerate(zip_longest(*map(_raw_lines, files.paths)), start=1):
        if None in row:
            raise _different_lengths(files, row)
        texts = _texts(row)
        if texts is None:
            bad.add("invalid UTF-8", number)
        else:
            yield CorpusLine(source=texts[0], target=texts[1] if len(texts) == 2 else None)


def _different_lengths(files: TextFiles, row: Sequence[bytes | None]) -> LingoLiteError:
    counts = [sum(1 for _ in _raw_lines(path)) for path in files.paths]
    shorter = files.paths[0] if row[0] is None else files.paths[1]
    return LingoLiteError(
        f"{files.paths[0]} has {counts[0]:,} lines and {files.paths[1]} has {counts[1]:,}",
        hint=f"line n of one file translates line n of the other; {shorter} ends too early",
    )


def _raw_lines(path: Path) -> Iterator[bytes]:
    try:
        stream = open_again(path)
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror or error}") from None
    with stream:
        for line in read_lines(stream, name=str(path)):
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def _texts(row: Iterable[bytes]) -> list[str] | None:
    """The row as text; None where it is not UTF-8."""
    try:
        return [column.decode() for column in row]
    except UnicodeDecodeError:
        return None


def _read_tsv(files: TextFiles, bad: BadRows) -> Iterator[CorpusLine]:
    needed = len(files.languages)
    columns = files.columns or COLUMNS
    expected = None if files.columns is None else len(columns)
    for number, line in enumerate(_raw_lines(files.paths[0]), start=1):
        texts = _texts(line.split(b"\t"))
        if texts is None:
            bad.add("invalid UTF-8", number)
            continue
        if expected is None and needed <= len(texts) <= len(columns):
            expected = len(texts)  # one tab too many, inside a sentence, would make its second half the target
        if len(texts) != expected:
            bad.add("wrong columns", number)
            continue
        found = dict(zip(columns, texts, strict=False))
        yield CorpusLine(
            source=found["source"],
            target=found["target"] if needed == 2 else None,
            provenance=found.get("provenance") or None,
            licence=found.get("licence") or None,
        )


def _read_json(files: TextFiles, bad: BadRows) -> Iterator[CorpusLine]:
    """Objects with `source` and `target`; or with texts by language, as they are or below `translation`."""
    for number, line in enumerate(_raw_lines(files.paths[0]), start=1):
        try:
            found = msgspec.json.decode(line)
        except (ValueError, RecursionError):
            bad.add("invalid JSON", number)
            continue
        texts = _json_texts(found, files.languages)
        if texts is None:
            bad.add("wrong columns", number)
            continue
        own = {key: found[key] for key in ("provenance", "licence") if isinstance(found.get(key), str)}
        yield CorpusLine(source=texts[0], target=texts[1] if len(texts) == 2 else None, **own)


def _json_texts(found: Any, languages: Sequence[str]) -> list[str] | None:
    if not isinstance(found, dict):
        return None
    within = found.get("translation")
    table = within if isinstance(within, dict) else found
    for names in (COLUMNS[: len(languages)], languages, ("text",) if len(languages) == 1 else ()):
        texts = [table.get(name) for name in names]
        if texts and all(isinstance(text, str) for text in texts):
            return [str(text) for text in texts]
    return None


def _read_tmx(files: TextFiles, bad: BadRows) -> Iterator[CorpusLine]:
    """Translation units that have all languages; the others are counted."""
    (path,) = files.paths
    try:
        with open_again(path) as stream:
            for number, unit in enumerate(_units(unpacked(stream, name=str(path))), start=1):
                texts = _unit_texts(unit, files.languages)
                if texts is None:
                    bad.add("missing language", number)
                else:
                    yield CorpusLine(source=texts[0], target=texts[1] if len(texts) == 2 else None)
    except ParseError as error:
        raise LingoLiteError(
            f"{path}: not well-formed XML: {error}", hint="a TMX file is XML; see that it is whole"
        ) from None
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror or error}") from None


def _units(stream: IO[bytes]) -> Iterator[Element]:
    """The translation units of a document, each gone when the next is asked for: memory stays flat."""
    body: Element | None = None
    for event, element in iterparse(stream, events=("start", "end")):
        if event == "start" and _name(element) == "body":
            body = element
        elif event == "end" and _name(element) == "tu":
            yield element
            if body is not None:
                body.clear()
    if body is None:
        raise ParseError("there is no element `body`, as a TMX file has")


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _unit_texts(unit: Element, languages: Sequence[str]) -> list[str] | None:
    by_language: dict[str, str] = {}
    for variant in unit:
        if _name(variant) == "tuv":
            tag = variant.get(_XML_LANG) or variant.get("lang") or ""
            segment = next((child for child in variant if _name(child) == "seg"), None)
            if segment is not None:
                by_language.setdefault(tag.lower(), " ".join(_segment_text(segment).split()))
    texts = [_of_language(by_language, language) for language in languages]
    return None if None in texts else [text for text in texts if text is not None]


def _of_language(texts: dict[str, str], language: str) -> str | None:
    """The text in a language; of `en`, also that in `en-GB`."""
    if language.lower() in texts:
        return texts[language.lower()]
    wanted = primary_language(language)
    return next((text for tag, text in texts.items() if primary_language(tag) == wanted), None)


def _segment_text(element: Element) -> str:
    """The text of a segment without the codes of its document's markup."""
    parts = [element.text or ""]
    for child in element:
        if _name(child) not in _CODES:
            parts.append(_segment_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
