"""Strict TOML: a file becomes typed structs, or an error that names file, TOML path, value and nearest key.

Owns the reading of TOML values on the command line, too: `KEY=VALUE`.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.files.encodings import not_utf8_hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")
Path_ = list["str | int"]

_EXAMPLES = {"--budget": "bleu_drop_max=0.5", "--set": "baseline.batch_size=8"}
_MOST_BITS = 500
MOST_SHOWN = 200
"""Characters of a value in a message."""
_AT = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<name>.*)`$")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        LingoLiteError: it is not there, not UTF-8, or not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise LingoLiteError(f"no such file: {path}", hint=_sibling(path)) from None
    except IsADirectoryError:
        raise LingoLiteError(f"{path} is a directory, not a TOML file") from None
    except UnicodeDecodeError as error:
        raise LingoLiteError(
            f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}",
            hint=not_utf8_hint(error.object),
        ) from None
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}") from None
    except RecursionError:
        raise LingoLiteError(f"{path} is not read: it is nested too deeply") from None
    except ValueError as error:  # of TOML, or of Python, which reads no number of thousands of digits
        raise LingoLiteError(f"{path} is not TOML: {_without_python(error)}") from None


def _without_python(error: ValueError) -> str:
    return str(error).partition("; use sys.")[0]


def _sibling(path: Path) -> str | None:
    """A file of a like name in the same directory."""
    siblings = [str(sibling) for sibling in path.parent.glob("*.toml")]
    return did_you_mean(str(path), siblings) if siblings else None


def convert(data: Any, type_: type[T], *, where: str) -> T:
    """`data` as `type_`, strictly.

    Args:
        data: plain values, as TOML gives them.
        type_: a msgspec struct or any type made of them.
        where: the file, or what else the data came from, for the message.

    Raises:
        LingoLiteError: a key is unknown or missing, or a value has the wrong type or range, or is not UTF-8.
    """
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as error:
        raise _explain(str(error), data, type_, where) from None
    except UnicodeEncodeError as error:  # what a shell passed for a value may be any bytes
        raise LingoLiteError(
            f"{where}: {error.object[:80]!r} is not UTF-8", hint="check the terminal's encoding"
        ) from None


def parse_value(text: str) -> Any:
    """The value of `--set key=VALUE`: TOML where it is TOML, and else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except RecursionError:
        raise LingoLiteError(f"{text[:40]}… is nested too deeply") from None
    except ValueError:
        return text


def parse_pairs(pairs: Sequence[str] | None, *, flag: str) -> dict[str, str]:
    """`KEY=VALUE` arguments of a repeatable flag, their values as text.

    Args:
        pairs: the arguments; None is none, as a command line gives it.
        flag: what they follow, for the message.

    Raises:
        LingoLiteError: one has no `=`, or no key.
    """
    found = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise LingoLiteError(
                f"{flag} {pair}: expected KEY=VALUE", hint=f"for example `{flag} {_EXAMPLES.get(flag, 'seed=3')}`"
            )
        found[key] = value
    return found


def parse_options(pairs: Sequence[str] | None, *, flag: str = "--option") -> dict[str, Any]:
    """As `parse_pairs`, with the values that `parse_value` finds in them."""
    return {key: parse_value(value) for key, value in parse_pairs(pairs, flag=flag).items()}


def _explain(message: str, data: Any, type_: Any, where: str) -> LingoLiteError:
    found = _AT.search(message)
    path = _split(found["path"], data, type_) if found else []
    reason = message[: found.start()] if found else message
    unknown = _UNKNOWN.match(reason)
    if unknown:
        return _unknown_key(unknown["name"], path, data, type_, where)
    value = _value_at(data, path)
    shown = "" if isinstance(value, dict | list) else f", not {_toml(value)}"
    reason = re.sub(r", got `[^`]*`$", "", reason).replace("Object missing", "missing").replace("`null`", "nothing")
    reason = reason.replace(r"\\Z'", "$'")  # as a reader writes it; the difference is a newline at the end
    reason = re.sub(r"^Invalid (enum )?value .*$", "invalid value", reason).replace("`object`", "`table`")
    place = ", ".join([*_tables(path, data), *([f"`{key}`"] if (key := _key(path)) else [])])
    return LingoLiteError(
        f"{where}: {place}: {reason[:1].lower()}{reason[1:]}{shown}" if path else f"{where}: {reason}",
        hint=_choices(path, data, type_),
    )


def _unknown_key(name: str, path: Path_, data: Any, type_: Any, where: str) -> LingoLiteError:
    known = _known_keys(_type_at(type_, path, data))
    value = _value_at(data, [*path, name])
    shown = "" if isinstance(value, dict | list) else f" = {_toml(value)}"
    place = ": ".join([where, *([", ".join(tables)] if (tables := _tables(path, data)) else [])])
    return LingoLiteError(f"{place}: unknown key `{_key([*path, name])}`{shown}", hint=did_you_mean(name, known))


def _choices(path: Path_, data: Any, type_: Any) -> str | None:
    """The allowed words, where a tag or a literal was misspelt."""
    if not path or not isinstance(path[-1], str):
        return None
    parent = _type_at(type_, path[:-1], data, tagged=False)
    for struct in _structs(parent):
        config = struct.__struct_config__
        if config.tag_field == path[-1]:
            return did_you_mean(
                str(_value_at(data, path)), [str(member.__struct_config__.tag) for member in _structs(parent)]
            )
    words = _words(_type_at(type_, path, data, tagged=False))
    return _one_of(_value_at(data, path), words) if words else None


def _one_of(value: Any, words: Sequence[str]) -> str:
    """All words, which are few, and the nearest one before them."""
    known = f"known: {', '.join(words)}"
    near = get_close_matches(value, words, n=1) if isinstance(value, str) else []
    return f"did you mean `{near[0]}`? {known}" if near else known


def _words(type_: Any) -> list[str]:
    """Those that a literal, perhaps inside a union, allows."""
    if get_origin(type_) is Literal:
        return [str(word) for word in get_args(type_)]
    return [word for member in get_args(type_) for word in _words(member)]


def _split(path: str, data: Any, type_: Any) -> Path_:
    parts: Path_ = []
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", path):
        if index == "...":
            parts.append(_failing_key(parts, data, type_))
        else:
            parts.append(int(index) if index else name)
    return parts


def _failing_key(path: Path_, data: Any, type_: Any) -> str:
    """The first key of a plain table whose value has not the table's type: msgspec leaves open which it is."""
    table = _value_at(data, path)
    for key, value in table.items() if isinstance(table, dict) else ():
        try:
            msgspec.convert(value, _type_at(type_, [*path, key], data, tagged=False))
        except msgspec.ValidationError:
            return str(key)
    return "..."


def _tables(path: Path_, data: Any) -> list[str]:
    """The elements of lists on the way, as people name them: step `verify` by its id, or step 3 where it has none."""
    found = []
    for position, part in enumerate(path):
        if isinstance(part, int):
            element = _value_at(data, path[: position + 1])
            label = element.get("id") if isinstance(element, dict) else None
            noun = str(path[position - 1]).removesuffix("s") if isinstance(element, dict) else "item"
            found += [] if isinstance(element, dict) else [f"`{_key(path[:position])}`"]
            found.append(f"{noun} `{label}`" if label else f"{noun} {part + 1}")
    return found


def _key(path: Path_) -> str:
    """`budget.bleu_drop_max`: the keys behind the last element of a list."""
    start = max((position + 1 for position, part in enumerate(path) if isinstance(part, int)), default=0)
    return ".".join(map(str, path[start:]))


def _value_at(data: Any, path: Path_) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return data


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:  # Python writes no number of thousands of digits
        return f"a number of {value.bit_length():,} bits"
    return _shortened(f'"{value}"' if isinstance(value, str) else str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text):,} characters)"


def _structs(type_: Any) -> list[Any]:
    members = get_args(type_) if get_origin(type_) in (Union, types.UnionType) else (type_,)
    return [member for member in members if isinstance(member, type) and issubclass(member, msgspec.Struct)]


def _known_keys(type_: Any) -> list[str]:
    keys: list[str] = []
    for struct in _structs(type_):
        keys += [field.encode_name for field in msgspec.structs.fields(struct)]
    return keys


def _type_at(type_: Any, path: Path_, data: Any, *, tagged: bool = True) -> Any:
    """The type that `path` has inside `type_`; a tagged union is narrowed by the data's tag."""
    for position, part in enumerate(path):
        type_ = _narrow(type_, _value_at(data, path[:position]))
        if isinstance(part, int) or not _structs(type_):
            arguments = [argument for argument in get_args(type_) if argument not in (type(None), ...)]
            type_ = arguments[-1] if arguments else Any
        else:
            type_ = get_type_hints(_structs(type_)[0]).get(part, Any)
    return _narrow(type_, _value_at(data, path)) if tagged else type_


def _narrow(type_: Any, data: Any) -> Any:
    structs = _structs(type_)
    if len(structs) == 1:
        return structs[0]
    for struct in structs:
        config = struct.__struct_config__
        if isinstance(data, dict) and config.tag is not None and data.get(config.tag_field) == config.tag:
            return struct
    return type_
