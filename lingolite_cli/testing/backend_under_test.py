"""What the parts of the contract of backends share: the backend under test, its tolerances, and how to compare.

Owns the fixtures, the searches and the comparisons; the tests are in `backend_logits`, `backend_searches` and
`backend_sharing`. S source.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeAlias, cast

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.contract import ArtifactContract, artifacts_root, shared
from lingolite_cli.testing.routes import Route, converter, follow, registry
from lingolite_cli.testing.tiny import IDS, LANGUAGES
from lingolite_cli.tokenization.opening import open_tokenizer

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray
    from lingolite_cli.decoding.hypothesis import Hypothesis
    from lingolite_cli.plugins.interfaces import Backend
    from lingolite_cli.tokenization.description import DecodingIds

Tokens: TypeAlias = list[tuple[int, ...]]
"""Of the hypotheses of a sentence."""
_Arguments = ParamSpec("_Arguments")

CLOSE_SHARE = 0.25
"""Of the sentences. A scale of activations that depends on the batch moves all of them; an unlucky last bit, a few."""
_ENOUGH = 4

GREEDY = DecodingOptions(max_length=24)
BEAM = DecodingOptions(beam_size=3, n_best=2, max_length=24)
LATE = DecodingOptions(beam_size=2, length_penalty=0.6, min_length=4, max_length=11)


def by_logits(test: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """A test that drives a backend token by token; it is skipped for engines that only search by themselves."""

    @wraps(test)
    def run(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> None:
        contract = cast("BackendUnderTest", arguments[0])
        if not contract.loaded().spec.gives_logits:
            pytest.skip(f"backend `{contract.plugin}` searches by itself and gives no logits")
        test(*arguments, **keywords)

    return run


class BackendUnderTest(ArtifactContract):
    """Base of the parts of the contract; see `BackendContract` for the attributes."""

    kind = "backend"
    tolerance: ClassVar[float] = 1e-4
    rounding: ClassVar[float] = 0.0
    reference: ClassVar[str | None] = None
    reference_tolerance: ClassVar[float] = 1e-3

    def open(self, artifact: Artifact) -> Any:
        """A new backend over `artifact`, on one thread: a `Backend` or, without logits, a `TranslateBackend`."""
        return self.loaded().create(artifact, options=self.options, threads=1)

    @pytest.fixture
    def backend(self, artifact: Artifact, request: pytest.FixtureRequest) -> Any:
        """The backend under test: one for all tests, as the host keeps one for all batches."""
        return shared(request, artifact, lambda: self.open(artifact), close=lambda backend: backend.close())

    @pytest.fixture
    def reference_artifact(self, route: Route, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
        """What the reference reads: the bundle that the route's exporter started from."""
        while route and converter(route[-1]).kind == "exporter":
            route = route[:-1]
        return follow(route, artifacts_root(tmp_path_factory))

    def _search(
        self,
        backend: Any,
        sources: list[list[int]],
        decoding: DecodingOptions,
        *,
        capabilities: frozenset[str] = frozenset(),
        ids: DecodingIds = IDS,
    ) -> list[list[Hypothesis]]:
        """The host's search, or that of an engine that has only its own; what it refuses is skipped, with its words."""
        try:
            return self._search_or_refuse(backend, sources, decoding, capabilities=capabilities, ids=ids)
        except LingoLiteError as refusal:
            if self.loaded().spec.gives_logits and "translate" not in capabilities:
                raise
            pytest.skip(refusal.message)

    def _search_or_refuse(
        self,
        backend: Any,
        sources: list[list[int]],
        decoding: DecodingOptions,
        *,
        capabilities: frozenset[str] = frozenset(),
        ids: DecodingIds = IDS,
    ) -> list[list[Hypothesis]]:
        """The same, but what it refuses is raised."""
        if not self.loaded().spec.gives_logits:
            capabilities |= {"translate"}
        return search(backend, *pad(sources, IDS.pad), ids=ids, options=decoding, capabilities=capabilities)

    def _translator(self, backend: Any, artifact: Artifact, decoding: DecodingOptions) -> Translator:
        return Translator(
            backend,
            open_tokenizer(artifact),
            artifact.manifest.model,
            LANGUAGES,
            options=decoding,
            batch_size=2,
            capabilities=self.loaded().spec.capabilities,
        )

    def _open_reference(self, request: pytest.FixtureRequest) -> Backend:
        if self.reference is None:
            pytest.skip("the contract names no `reference` backend")
        origin = request.getfixturevalue("reference_artifact")
        return cast("Backend", registry().resolve("backend", self.reference).create(origin, threads=1))

    def _assert_same(self, found: FloatArray, expected: FloatArray, *, tolerance: float | None = None) -> None:
        """Compare logits, sentence by sentence along the first axis."""
        tolerance = tolerance or self.tolerance
        errors = np.abs(found - expected).max(axis=tuple(range(1, found.ndim)))
        assert errors.max() <= max(tolerance, self.rounding), f"logits differ, by sentence: {errors}"
        if self.rounding and len(errors) >= _ENOUGH:
            assert np.mean(errors <= tolerance) >= CLOSE_SHARE, f"most logits differ, by sentence: {errors}"

    def _assert_same_tokens(self, found: list[Tokens], expected: list[Tokens]) -> None:
        if not self.rounding:
            assert found == expected
        same = [one == other for one, other in zip(found, expected, strict=True)]
        assert np.mean(same) >= CLOSE_SHARE, f"most translations differ: {found} {expected}"

    def _skip_without(self, capability: str) -> None:
        if capability not in self.loaded().spec.capabilities:
            pytest.skip(f"backend `{self.plugin}` does not declare the capability `{capability}`")


def tokens_of(found: list[list[Hypothesis]]) -> list[Tokens]:
    """The tokens of all hypotheses."""
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]


def scores_of(hypotheses: list[Hypothesis]) -> list[float]:
    """Their scores, in order."""
    return [hypothesis.score for hypothesis in hypotheses]
