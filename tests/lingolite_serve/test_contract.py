"""The server `http`, held to the contract that other authors run."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError

import pytest

from lingolite_cli.serving.service import Languages, RequestError
from lingolite_cli.testing import ServerContract

pytestmark = pytest.mark.serve


class TestHttp(ServerContract):
    plugin = "http"

    def ask(self, options: Mapping[str, Any], text: str, languages: Languages) -> str:
        body = json.dumps({"q": text, "source": languages[0], "target": languages[1]}).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{options['port']}/translate", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return str(json.load(answer)["translatedText"])
        except HTTPError as error:
            with error:
                raise RequestError(json.load(error)["error"]) from None
