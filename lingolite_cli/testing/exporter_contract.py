"""The contract of exporters."""

from __future__ import annotations

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.conversion import ConversionContract


class ExporterContract(ConversionContract):
    """Everything that the host relies on in an exporter."""

    kind = "exporter"

    def test_the_quantization_is_carried_over(self, artifact: Artifact, made: Artifact) -> None:
        """An exporter carries the integers that a quantizer decided, and says so; it may also quantize by itself."""
        if artifact.manifest.quantization is not None:
            assert made.manifest.quantization == artifact.manifest.quantization
