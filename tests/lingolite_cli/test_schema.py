"""TOML to typed structs: what is refused, and how the message says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.schema import convert, parse_options, parse_value, read_toml


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    radius: Annotated[float, Meta(gt=0)]
    spokes: int = 32
    tyre: Literal["tube", "solid"] | None = None


class _Vehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    id: Annotated[str, Meta(pattern="^[a-z]+$")]


class Bicycle(_Vehicle, tag="bicycle", frozen=True, kw_only=True):
    wheels: tuple[Wheel, ...] = ()
    bell: bool = False


class Boat(_Vehicle, tag="boat", frozen=True, kw_only=True):
    sails: Annotated[int, Meta(ge=0, le=9)] = 1
    crew: dict[str, int] = {}


class Park(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    vehicles: tuple[Bicycle | Boat, ...] = ()
    pair: tuple[str, str] | None = None
    spare: Wheel | None = None
    lanes: Literal[4, 8, 16] = 4


BICYCLE: dict[str, Any] = {"kind": "bicycle", "id": "red"}
BOAT: dict[str, Any] = {"kind": "boat", "id": "gull"}


def refusal(data: dict[str, Any]) -> tuple[str, str | None]:
    """Message and hint for a park that is not valid."""
    with pytest.raises(LingoLiteError) as error:
        convert(data, Park, where="park.toml")
    return error.value.message, error.value.hint


def test_valid_data_become_structs() -> None:
    park = convert(
        {
            "name": "north",
            "vehicles": [{**BICYCLE, "wheels": [{"radius": 35}]}, {**BOAT, "crew": {"ann": 1}}],
            "pair": ["en", "da"],
        },
        Park,
        where="park.toml",
    )
    assert park == Park(
        "north", (Bicycle(id="red", wheels=(Wheel(35.0),)), Boat(id="gull", crew={"ann": 1})), ("en", "da")
    )


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        ({"name": "n", "vehicels": 3}, "park.toml: unknown key `vehicels` = 3", "did you mean `vehicles`?"),
        (
            {"name": "n", "vehicles": [BOAT, {**BICYCLE, "bel": True}]},
            "park.toml: vehicle `red`: unknown key `bel` = true",
            "did you mean `bell`?",
        ),
        (
            {"name": "n", "vehicles": [{**BICYCLE, "wheels": [{"radius": 1.0}, {"radius": 2.0, "sopkes": "x"}]}]},
            'park.toml: vehicle `red`, wheel 2: unknown key `sopkes` = "x"',
            "did you mean `spokes`?",
        ),
        (
            {"name": "n", "spare": {"radius": 1.0, "colour": "red"}},
            'park.toml: unknown key `spare.colour` = "red"',
            "known: radius, spokes, tyre",
        ),
    ],
    ids=["top", "in a tagged union", "two lists deep", "far from every key"],
)
def test_an_unknown_key_is_named_with_its_path_and_value(data: dict[str, Any], message: str, hint: str) -> None:
    assert refusal(data) == (message, hint)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": 3}, "park.toml: `name`: expected `str`, not 3"),
        ({}, "park.toml: missing required field `name`"),
        (
            {"name": "n", "vehicles": [{"kind": "boat"}]},
            "park.toml: vehicle 1: missing required field `id`",
        ),
        (
            {"name": "n", "vehicles": [{**BOAT, "sails": 12}]},
            "park.toml: vehicle `gull`, `sails`: expected `int` <= 9, not 12",
        ),
        (
            {"name": "n", "vehicles": [{**BOAT, "id": "Gull 3"}]},
            "park.toml: vehicle `Gull 3`, `id`: expected `str` matching regex '^[a-z]+$', not \"Gull 3\"",
        ),
        (
            {"name": "n", "vehicles": [{**BICYCLE, "bell": "yes"}]},
            'park.toml: vehicle `red`, `bell`: expected `bool`, not "yes"',
        ),
        (
            {"name": "n", "vehicles": [{**BICYCLE, "wheels": [{"radius": 0}]}]},
            "park.toml: vehicle `red`, wheel 1, `radius`: expected `float` > 0.0, not 0",
        ),
        ({"name": "n", "pair": ["en"]}, "park.toml: `pair`: expected `array` of length 2, got 1"),
        ({"name": "n", "vehicles": "boat"}, 'park.toml: `vehicles`: expected `array`, not "boat"'),
        (
            {"name": "n", "vehicles": [{**BOAT, "crew": {"bob": 1, "ann": "two"}}]},
            'park.toml: vehicle `gull`, `crew.ann`: expected `int`, not "two"',
        ),
        (
            {"name": "n", "pair": ["en", 3]},
            "park.toml: `pair`, item 2: expected `str`, not 3",
        ),
    ],
    ids=["type", "missing", "missing deep", "range", "pattern", "bool", "float", "length", "no array", "table", "item"],
)
def test_a_wrong_value_is_named_with_its_path(data: dict[str, Any], message: str) -> None:
    assert refusal(data)[0] == message


def test_a_misspelt_kind_is_answered_with_the_nearest() -> None:
    message, hint = refusal({"name": "n", "vehicles": [{"kind": "bycicle", "id": "red"}]})
    assert message == 'park.toml: vehicle `red`, `kind`: invalid value, not "bycicle"'
    assert hint == "did you mean `bicycle`?"


def test_a_misspelt_word_is_answered_with_the_nearest_and_all_others() -> None:
    message, hint = refusal({"name": "n", "spare": {"radius": 1.0, "tyre": "tbe"}})
    assert message == 'park.toml: `spare.tyre`: invalid value, not "tbe"'
    assert hint == "did you mean `tube`? known: tube, solid"


def test_numbers_of_which_some_are_allowed_are_listed_in_their_order() -> None:
    assert refusal({"name": "n", "lanes": 3}) == ("park.toml: `lanes`: invalid value, not 3", "known: 4, 8, 16")


def test_a_missing_kind_is_named() -> None:
    message, _ = refusal({"name": "n", "vehicles": [{"id": "red"}]})
    assert message == "park.toml: vehicle `red`: missing required field `kind`"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ('["bleu", "chrf"]', ["bleu", "chrf"]),
        ('"3"', "3"),
        ("cached", "cached"),
        ("models/a b", "models/a b"),
        ("{ max_length = 9 }", {"max_length": 9}),
        ("", ""),
    ],
)
def test_a_value_on_the_command_line_is_toml_or_else_text(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    files: dict[str, tuple[bytes | None, str]] = {
        "cut.toml": (b'name = "half\n', "cut.toml is not TOML: Illegal character '\\n' (at line 1, column 13)"),
        "latin.toml": (b'name = "bl\xe5"\n', "latin.toml is not UTF-8: byte 10 is 0xe5"),
        "gone.toml": (None, "no such file: "),
        "twice.toml": (b"a = 1\na = 2\n", "twice.toml is not TOML: Cannot overwrite a value"),
    }
    for name, (data, message) in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(LingoLiteError) as error:
            read_toml(tmp_path / name)
        assert message in error.value.message
        assert str(tmp_path) in error.value.message
    with pytest.raises(LingoLiteError, match="is a directory, not a TOML file"):
        read_toml(tmp_path)


def test_a_value_that_a_shell_passed_in_another_encoding_is_refused() -> None:
    class Options(msgspec.Struct):
        profile: Literal["portable", "optimized"]

    with pytest.raises(LingoLiteError, match=r"--option: 'caf\\udce9' is not UTF-8"):
        convert(parse_options(["profile=caf\udce9"]), Options, where="--option")
