"""A service over the tiny bundle, whose engine repeats its source; nothing here needs the extra `serve`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.serving.batcher import Batcher, BatchPolicy
from lingolite_cli.serving.service import ServingLimits, TranslationService
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.workers.pool import WorkerPool, open_pool

ServiceMaker = Callable[..., TranslationService]


@pytest.fixture(scope="module")
def pool(tiny: Artifact, echo: Path) -> Iterator[WorkerPool]:
    """A worker with the backend that repeats its source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(echo))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(echo), os.environ.get("PYTHONPATH", "")]))
        made = open_pool(load_registry().resolve("backend", "echo"), tiny, options={}, threads=1, workers=1)
        yield made
        made.close()


@pytest.fixture(scope="module")
def network(tiny: Artifact) -> Iterator[WorkerPool]:
    """A worker with the tiny network itself, whose translations are noise of many kinds."""
    made = open_pool(load_registry().resolve("backend", "cached"), tiny, options={}, threads=1, workers=1)
    yield made
    made.close()


@pytest.fixture
def make_service(tiny: Artifact, pool: WorkerPool) -> ServiceMaker:
    """Makes a service; a batcher belongs to one event loop."""

    def make(
        engine: WorkerPool = pool,
        *,
        limits: ServingLimits | None = None,
        policy: BatchPolicy | None = None,
        pairs: tuple[tuple[str, str], ...] = (),
    ) -> TranslationService:
        tokenizer, options = open_tokenizer(tiny), DecodingOptions(max_length=40)
        return TranslationService(
            lambda pair: Translator(engine, tokenizer, tiny.manifest.model, pair, options=options),
            pairs or [("en", "da")],
            Batcher(engine, policy or BatchPolicy(batch_size=4)),
            limits=limits or ServingLimits(),
            is_splitting=True,
            model="0123456789abcdef",
            unknown_id=tokenizer.description.ids.unknown,
        )

    return make


@pytest.fixture(autouse=True)
def _extra(request: pytest.FixtureRequest) -> None:
    """What needs the extra `clients` is skipped where that is not installed."""
    if request.node.get_closest_marker("serve"):
        for module in ("starlette", "uvicorn", "prometheus_client", "python_multipart", "httpx2", "libretranslatepy"):
            pytest.importorskip(module)
