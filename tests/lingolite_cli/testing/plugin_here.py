"""Plugins whose class stands in a test, for contracts that must fail: none is in an installed distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.manager import Origin
from lingolite_cli.plugins.registry import Loaded


class Here(Loaded):
    """A plugin whose class is `made`, and not in an installed distribution."""

    def __init__(self, kind: str, spec: Any, made: type) -> None:
        super().__init__(kind, spec, Origin("here", "here", "1", "here"))
        self._made = made

    def load_factory(self) -> Callable[..., Any]:
        return self._made


def fails(test: Callable[..., None], **arguments: Any) -> None:
    with pytest.raises((AssertionError, LingoLiteError)):
        test(**arguments)
