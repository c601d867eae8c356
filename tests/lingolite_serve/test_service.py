"""The service behind a server, without a protocol: it needs no extra."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import environment

from lingolite_cli.serving.sample import SampledRequest
from lingolite_cli.serving.service import RequestError, ServingLimits, TranslationService

ServiceMaker = Callable[..., TranslationService]
PAIR = ("en", "da")


def test_requests_at_the_same_time_share_batches_and_keep_their_texts(make_service: ServiceMaker) -> None:
    service, sizes = make_service(), list[int]()
    texts = [f" She reads {number}.\n\nWe ate bread {number}. " for number in range(20)]

    async def served() -> list[str]:
        service.batcher.watch(lambda batch: sizes.append(batch.num_sentences))
        return [found[0].text for found in await asyncio.gather(*(service.translate([text], PAIR) for text in texts))]

    assert asyncio.run(served()) == texts
    assert sum(sizes) == 40
    assert len(sizes) < 20, "several sentences in a batch"


def test_what_can_never_be_translated_is_refused(make_service: ServiceMaker) -> None:
    service = make_service(limits=ServingLimits(max_characters=10, max_texts=2))
    for texts, pair, is_too_large in (
        (["a"], ("da", "en"), False),
        (["a" * 6, "b" * 5], PAIR, True),
        (["a"] * 3, PAIR, True),
        (["\ud83d"], PAIR, False),
    ):
        with pytest.raises(RequestError) as refused:
            service.check(texts, pair)
        assert refused.value.is_too_large is is_too_large


def test_a_sample_says_what_was_served(make_service: ServiceMaker) -> None:
    service = make_service()

    async def sampled() -> SampledRequest:
        arrived = asyncio.get_running_loop().time()
        served = await service.translate(["We ate bread and cheese \u2603."], PAIR)
        return service.sample("done", arrived=arrived, languages=PAIR, served=served)

    sample = asyncio.run(sampled())
    (sentence,) = sample.sentences
    assert (sample.outcome, sample.languages, sample.model) == ("done", PAIR, "0123456789abcdef")
    assert sentence.source == sentence.translation == "We ate bread and cheese \u2603."
    assert (sentence.source_characters, sentence.target_characters) == (26, 26)
    assert sentence.target_tokens == sentence.source_tokens + 1
    assert sentence.faults == ("copies",)
    assert sentence.unknown == 0, "the tokenizer spells it in bytes"
    assert sentence.log_probability < 0.0


WITHOUT = """\
import sys
from importlib.machinery import PathFinder


class WithoutServer(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in ("starlette", "uvicorn") else PathFinder.find_spec(name, path, target)


sys.meta_path[:] = [WithoutServer if finder is PathFinder else finder for finder in sys.meta_path]
from lingolite_cli.app import main

main()
"""


def test_a_missing_extra_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "serve", "nowhere"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 4
    assert "server `http` cannot be used: unavailable: needs starlette, uvicorn" in done.stderr
    assert 'pip install "lingolite[serve]"' in done.stderr
