"""What a file says otherwise than it must is named by its place in the file."""

from __future__ import annotations

from typing import Any

import pytest

from lingolite_cli.evaluation.described import value_differences


@pytest.mark.parametrize(
    ("expected", "found", "line"),
    [
        ({"ids": {"eos": 2}}, {"ids": {"eos": 7}}, "f.json: ids.eos is 7, not 2"),
        ({"a": 1}, {}, "f.json: a is missing, and should be 1"),
        ({}, {"a": None}, "f.json: a is null, and should not be there"),
        ({"a": [1, 2]}, {"a": [1]}, "f.json: a has 1 entries, not 2"),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": ({"b": 1}, {"b": 3})}, "f.json: a[1].b is 3, not 2"),
        ({"a": 1}, {"a": True}, "f.json: a is true, not 1"),
        ({"a": 1}, [], 'f.json is [], not {"a":1}'),
        ({"a": "x"}, {"a": "y" * 90}, f'f.json: a is "{"y" * 78}…, not "x"'),
    ],
)
def test_the_value_that_differs_is_named(expected: Any, found: Any, line: str) -> None:
    assert value_differences("f.json", expected, found) == [line]


def test_equal_values_differ_in_nothing_and_many_differences_are_counted() -> None:
    values = {str(number): number for number in range(50)}
    assert value_differences("f.json", values, dict(reversed(values.items()))) == []
    lines = value_differences("f.json", values, {name: -1 for name in values})
    assert len(lines) == 7
    assert lines[-1] == "f.json: 44 further values differ"
