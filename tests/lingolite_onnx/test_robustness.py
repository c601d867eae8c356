"""Several engines in one process, and Ctrl-C while one is at work."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from command_line import command, environment, hear_interruptions

from lingolite_cli.artifact import BUNDLE, Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translation, Translator
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import SENTENCES
from lingolite_cli.testing.routes import convert_with
from lingolite_cli.tokenization.opening import open_tokenizer
from tests.lingolite_onnx.onnx_bundles import export_to

TEXTS = [f"{sentence} {number}" for number in range(3) for sentence in SENTENCES]


@pytest.fixture(scope="module")
def artifacts(
    ort_exported: Any, wide_bundles: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, Artifact]]:
    """The same float weights for every engine that is installed: its backend and what it reads."""
    root, registry = tmp_path_factory.mktemp("engines"), load_registry()
    found = {
        "cached": ("cached", wide_bundles[BUNDLE]),
        "portable": ("onnx", export_to(wide_bundles[BUNDLE], root / "portable")),
        "ort": ("onnx", ort_exported(BUNDLE)),
    }
    if "ctranslate2" in registry.names("exporter"):
        exporter = registry.resolve("exporter", "ctranslate2")
        found["ctranslate2"] = ("ctranslate2", convert_with(exporter, wide_bundles[BUNDLE], root / "ctranslate2"))
    return found


@pytest.fixture
def translators(artifacts: dict[str, tuple[str, Artifact]]) -> Iterator[dict[str, Translator]]:
    """Each engine twice, all of them open at once."""
    backends, translators = [], {}
    for name, (backend, artifact) in artifacts.items():
        loaded = load_registry().resolve("backend", backend)
        for number in (1, 2):
            backends.append(loaded.create(artifact, threads=1))
            translators[f"{name} {number}"] = Translator(
                backends[-1],
                open_tokenizer(artifact),
                artifact.manifest.model,
                ("en", "da"),
                options=DecodingOptions(max_length=20),
                batch_size=3,
                capabilities=loaded.spec.capabilities,
            )
    yield translators
    for made in backends:
        made.close()


def tokens(found: list[Translation]) -> list[tuple[int, ...]]:
    return [translation.tokens for translation in found]


def test_engines_that_take_turns_in_one_process_do_not_disturb_one_another(translators: dict[str, Translator]) -> None:
    alone = [tokens(list(translator.translate(TEXTS))) for translator in translators.values()]
    assert all(found == alone[0] for found in alone), "float engines give the same tokens"
    streams = [translator.translate(TEXTS) for translator in translators.values()]
    in_turn = list(zip(*(list(turn) for turn in zip(*streams, strict=True)), strict=True))
    assert [tokens(list(found)) for found in in_turn] == alone


def test_engines_in_threads_of_one_process_do_not_disturb_one_another(translators: dict[str, Translator]) -> None:
    with ThreadPoolExecutor(len(translators)) as threads:
        found = list(threads.map(lambda each: tokens(list(each.translate(TEXTS))), translators.values()))
    assert all(each == found[0] for each in found)
    assert found[0] == tokens(list(translators["portable 1"].translate(TEXTS)))


def test_ctrl_c_during_a_batch_exits_130_after_whole_lines(
    artifacts: dict[str, tuple[str, Artifact]], translators: dict[str, Translator], tmp_path: Path
) -> None:
    """Far more text than is translated in the time that it takes to read two lines."""
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS * 1000))
    arguments = ["--model", artifacts["ort"][1].path, "--file", "in.txt", "--batch-size", "3"]
    process = subprocess.Popen(
        command("translate", *arguments, "--max-length", "20", "--no-split-sentences", "--json"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interruptions,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        # Not `communicate`, which passes over what `readline` has read ahead.
        rest, said = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; finished steps are kept"
    assert "Traceback" not in said
    lines += rest.splitlines(keepends=True)
    assert len(lines) < len(TEXTS) * 1000
    assert all(line.endswith("}\n") for line in lines)
    expected = tokens(list(translators["ort 1"].translate(TEXTS)))
    assert [tuple(json.loads(line)["tokens"]) for line in lines] == list(islice(cycle(expected), len(lines)))
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]
