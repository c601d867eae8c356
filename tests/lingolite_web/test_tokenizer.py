"""The page's tokenizer, run by node, held to Python's: ids of framed sources, and texts of ids."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import lingolite_web
import msgspec
import pytest

from tests.lingolite_cli.tokenization.ported_cases import TOKENIZERS, ported_cases

NODE = shutil.which("node")
SCRIPT = Path(__file__).with_name("tokenize.mjs")
TOKENIZER = Path(lingolite_web.__file__).parent / "page" / "tokenizer.js"

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")


def differences(name: str, *, count: int) -> list[tuple[str, object, object]]:
    """Cases in which the page's tokenizer gives something else."""
    given = ported_cases(name, count=count)
    assert NODE is not None
    done = subprocess.run(
        [NODE, "--experimental-default-type=module", str(SCRIPT), str(TOKENIZER)],
        input=msgspec.json.encode(given),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    expected = [[case.source_ids, case.target_text] for case in given.cases]
    assert len(found) == len(expected)
    return [
        (case.text, right, wrong)
        for case, right, wrong in zip(given.cases, expected, found, strict=True)
        if right != wrong
    ]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_page_tokenizes_as_python_does(name: str) -> None:
    assert differences(name, count=250) == []


@pytest.mark.web
@pytest.mark.parametrize("name", TOKENIZERS)
def test_page_tokenizes_ten_thousand_odd_strings_as_python_does(name: str) -> None:
    assert differences(name, count=10_000) == []
