"""What quantizers and exporters have in common: one artifact made from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.artifact import MANIFEST_NAME, TOKENIZER_NAMES, Artifact, Product
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.testing.contract import ArtifactContract, shared
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.routes import Conversion, contents, convert_observed, convert_with, registry
from lingolite_cli.testing.tiny import IDS


class ConversionContract(ArtifactContract):
    """Base of the contracts of quantizers and exporters."""

    def convert(self, source: Artifact, path: Path) -> Artifact:
        """A new artifact at `path`, with the options of this contract."""
        return convert_with(self.loaded(), source, path, options=dict(self.options))

    @pytest.fixture
    def conversion(
        self, artifact: Artifact, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Conversion:
        """What the plugin does with `artifact`: done once for all tests of the contract, which only look at it."""

        def convert() -> Conversion:
            path = tmp_path_factory.mktemp("conversion") / "made"
            return convert_observed(self.loaded(), artifact, path, options=dict(self.options))

        return shared(request, artifact, convert)

    @pytest.fixture
    def made(self, conversion: Conversion) -> Artifact:
        """What the plugin makes of `artifact`. Not to be written to."""
        return conversion.artifact

    def test_the_artifact_has_the_format_that_is_declared(self, artifact: Artifact, made: Artifact) -> None:
        assert made.manifest.format == self.loaded().spec.produces
        assert artifact.manifest.format in self.loaded().spec.accepts

    def test_the_model_stays_the_same(self, artifact: Artifact, made: Artifact) -> None:
        assert made.manifest.model == artifact.manifest.model
        assert made.manifest.languages == artifact.manifest.languages
        assert made.tokenizer_digest == artifact.tokenizer_digest

    def test_every_file_is_in_the_manifest(self, made: Artifact) -> None:
        assert set(contents(made)) == {*made.manifest.files, MANIFEST_NAME}

    def test_the_same_work_gives_the_same_bytes(self, artifact: Artifact, made: Artifact, tmp_path: Path) -> None:
        again = self.convert(artifact, tmp_path / "again")
        assert again.manifest == made.manifest
        assert again.digest == made.digest

    def test_the_source_is_only_read(self, conversion: Conversion) -> None:
        assert conversion.after == conversion.before

    def test_tokenizer_and_manifest_are_left_to_the_host(self, conversion: Conversion) -> None:
        assert isinstance(conversion.product, Product)
        assert not {*TOKENIZER_NAMES, MANIFEST_NAME} & conversion.written

    def test_an_installed_backend_translates_with_it(self, made: Artifact) -> None:
        loaded = _backend_for(made)
        backend = loaded.create(made, threads=1)
        found = search(
            backend,
            *pad(framed_sources(made), IDS.pad),
            ids=IDS,
            options=DecodingOptions(max_length=12),
            capabilities=loaded.spec.capabilities,
        )
        backend.close()
        assert all(np.isfinite(hypotheses[0].score) for hypotheses in found)
        assert len({hypotheses[0].tokens for hypotheses in found}) > 1


def _backend_for(artifact: Artifact) -> Loaded:
    """The first backend that runs this format; skips the test when there is none."""
    for name in registry().backends_for(artifact.manifest.format):
        return registry().resolve("backend", name)
    pytest.skip(f"no installed backend runs the format `{artifact.manifest.format}`")
