"""The part of the contract of backends that holds them to what they declare: `arithmetic`, `data` and `trace`.

They are checked as `verify` uses them: the exported artifact is compared with the bundle that it was made from, by the
independent reference, with the limits that the backend itself declares.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.recording import record
from lingolite_cli.artifact import WEIGHTS_NAME, Artifact, read_manifest, write_manifest
from lingolite_cli.console import Progress
from lingolite_cli.evaluation.exported_measurement import ExportedText, compare_end_to_end, compare_values
from lingolite_cli.evaluation.goldens import GOLDEN_NAME, compare_goldens, read_goldens
from lingolite_cli.plugins.interfaces import ForcedTokens
from lingolite_cli.testing.backend_under_test import GREEDY, BackendUnderTest
from lingolite_cli.testing.contract import shared
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.routes import Route, converter
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.weights.bundle import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.plugins.interfaces import Trace

_GAIN = 1.5
"""Factor of a norm in a bundle that the artifact was not made from."""


class DeclarationsContract(BackendUnderTest):
    """What a backend says of how it computes, and what it shows of it."""

    @pytest.fixture
    def origin(self, route: Route, reference_artifact: Artifact) -> Artifact:
        """The bundle that the artifact was exported from."""
        if "arithmetic" not in self.loaded().spec.capabilities:
            pytest.skip(f"backend `{self.plugin}` does not declare the capability `arithmetic`")
        if not route or converter(route[-1]).kind != "exporter":
            pytest.skip("the artifact is a bundle, which was not exported")
        return reference_artifact

    @pytest.fixture
    def compared(self, artifact: Artifact, origin: Artifact, request: pytest.FixtureRequest) -> Any:
        """The backend, with the options under which its arithmetic is compared."""
        chosen = self._arithmetic(artifact, origin).options

        def make() -> Any:
            return self.loaded().create(artifact, options=self.options if chosen is None else chosen, threads=1)

        return shared(request, artifact, make, close=lambda backend: backend.close())

    def test_declared_limits_are_numbers_that_can_be_broken(self, artifact: Artifact, origin: Artifact) -> None:
        arithmetic = self._arithmetic(artifact, origin)
        assert arithmetic.name
        assert 0 < arithmetic.rounding < 1
        assert 0 < arithmetic.kl_max < 1
        assert 0 < arithmetic.parity_min <= 1

    def test_an_engine_that_rounds_to_integers_says_how_far_last_bits_move_what_it_rounds(
        self, artifact: Artifact, origin: Artifact
    ) -> None:
        """Without it, a sound file of a network that amplifies last bits would be taken for a damaged one."""
        arithmetic = self._arithmetic(artifact, origin)
        if not self.loaded().spec.gives_logits or not Weights.read(origin).has_int8:
            pytest.skip("no activations are rounded to integers before logits that are compared")
        assert arithmetic.is_exact or arithmetic.is_weight_only or arithmetic.quotient_error > 0

    def test_the_declared_arithmetic_gives_the_engines_logits(
        self, compared: Any, artifact: Artifact, origin: Artifact
    ) -> None:
        """Or its translations, for an engine that gives no logits."""
        arithmetic = self._arithmetic(artifact, origin)
        judged = compared if self.loaded().spec.gives_logits else None
        text = self._text(compared, artifact)
        found = compare_end_to_end(judged, text, Weights.read(origin), arithmetic, progress=Progress())
        if found.logits is not None:
            # Ranks say no more: random weights leave many tokens almost as good as the first.
            assert found.logits.kl_mean <= arithmetic.kl_max
            return
        assert found.agreement is not None
        lost = round((1 - found.agreement) * found.num_tokens)
        # Of so few tokens one may be more than the share that is left to rounding.
        assert lost <= max(1, (1 - arithmetic.parity_min) * found.num_tokens)

    def test_goldens_are_replayed_by_the_artifacts_own_code(self, compared: Any, artifact: Artifact) -> None:
        if "replay" not in self.loaded().spec.capabilities:
            pytest.skip(f"backend `{self.plugin}` does not declare the capability `replay`")
        goldens = read_goldens(artifact.file(GOLDEN_NAME)).sentences
        replayed = compared.replay([golden.source for golden in goldens])
        assert compare_goldens(goldens, replayed.sentences) == []
        assert replayed.runtime

    def test_traced_values_are_the_references_within_the_declared_rounding(
        self, compared: Any, artifact: Artifact, origin: Artifact
    ) -> None:
        found = compare_values(
            self._trace(compared, origin),
            self._text(compared, artifact),
            Weights.read(origin),
            self._arithmetic(artifact, origin),
            progress=Progress(),
        )
        assert found.num_operations > 0, "no value of a named operation was shown"
        assert [difference.summary for difference in found.operations] == []

    def test_traces_have_known_names_and_no_more_than_was_asked_for(
        self, compared: Any, artifact: Artifact, origin: Artifact
    ) -> None:
        config = origin.manifest.model
        text, trace = self._text(compared, artifact), self._trace(compared, origin)
        tokens = _tokens(text)
        whole = trace(tokens)
        assert whole, "there is a trace for each computation of the artifact"
        for one in whole:
            assert one.part
            assert one.values.keys() <= record(config).operations.keys()
            assert all(values.dtype == np.float32 for values in one.values.values())
        wanted = frozenset({parts_of(config).encoder.embedding.name, parts_of(config).decoder.embedding.name})
        alone = trace(
            ForcedTokens(
                source_ids=tokens.source_ids,
                source_mask=tokens.source_mask,
                target_ids=tokens.target_ids,
                operations=wanted,
            )
        )
        for one, other in zip(alone, whole, strict=True):
            for name in wanted & one.values.keys() & other.values.keys():
                np.testing.assert_allclose(one.values[name], other.values[name], rtol=1e-5, atol=1e-5)

    def test_values_are_the_files_so_that_another_bundle_is_located(
        self, compared: Any, artifact: Artifact, origin: Artifact, tmp_path: Path
    ) -> None:
        changed = tmp_path / "changed"
        shutil.copytree(origin.path, changed)
        tensors = load_file(changed / WEIGHTS_NAME)
        norm = parts_of(origin.manifest.model).decoder.layers[0].cross_attention_norm.name
        tensors[f"{norm}.weight"] = (tensors[f"{norm}.weight"] * _GAIN).astype(tensors[f"{norm}.weight"].dtype)
        save_file(tensors, changed / WEIGHTS_NAME)
        write_manifest(changed, read_manifest(changed))
        other = Artifact.open(changed)
        found = compare_values(
            self._trace(compared, other),
            self._text(compared, artifact),
            Weights.read(other),
            self._arithmetic(artifact, origin),
            progress=Progress(),
        )
        assert found.rounding is not None
        assert found.rounding > 1
        assert found.operations[0].operation == norm

    def test_files_beside_the_weights_say_what_the_bundle_says(self, artifact: Artifact, origin: Artifact) -> None:
        if "data" not in self.loaded().spec.capabilities:
            pytest.skip(f"backend `{self.plugin}` does not declare the capability `data`")
        factory: Any = self.loaded().load_factory()
        assert factory.data_differences(artifact, origin) == []

    def _arithmetic(self, artifact: Artifact, origin: Artifact) -> Arithmetic:
        factory: Any = self.loaded().load_factory()
        found: Arithmetic = factory.arithmetic(artifact, origin, self.loaded().options(self.options))
        return found

    def _trace(self, backend: Any, bundle: Artifact) -> Callable[[ForcedTokens], Sequence[Trace]]:
        if "trace" not in self.loaded().spec.capabilities:
            pytest.skip(f"backend `{self.plugin}` does not declare the capability `trace`")
        return lambda tokens: backend.trace(tokens, bundle=bundle)

    def _text(self, backend: Any, artifact: Artifact) -> ExportedText:
        """The contract's sentences, with the engine's own greedy translations."""
        sources = framed_sources(artifact)
        found = self._search(backend, sources, GREEDY)
        return ExportedText(
            sources=sources,
            tokens=[best[0].tokens for best in found],
            positions=artifact.manifest.model.max_seq_len,
            ids=IDS,
        )


def _tokens(text: ExportedText) -> ForcedTokens:
    """The first sentence, and what the decoder reads for its translation."""
    source = np.array([text.sources[0]])
    target = np.array([[text.ids.start, *text.tokens[0][:-1]]])
    return ForcedTokens(source_ids=source, source_mask=np.ones(source.shape, np.bool_), target_ids=target)
