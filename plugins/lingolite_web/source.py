"""Which ONNX artifacts run in a browser.

Owns the reading of what such an artifact says of itself, and the refusals with their reasons.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError

MODEL_NAMES = ("encoder.onnx", "decoder.onnx", "weights.bin")
"""Files of the portable profile that a page runs. What offline graph optimization adds is left out."""

_REASONS = {
    "int4": "4-bit products (MatMulNBits) take about 5 times as long in WebAssembly as the exact int8 ones",
}


class OnnxFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a page must know of an ONNX artifact: a part of its manifest's details.

    Attributes:
        profile: `portable` or `optimized`.
        weights: the smallest dtype that matrices are stored in.
        activations: how activations meet quantized matrices.
        exact: everything between integer products is computed in float64.
    """

    profile: str
    weights: str
    activations: str
    exact: bool

    @property
    def description(self) -> str:
        """For people."""
        activations = {"by row": ", activations int8 by row", "calibrated": ", activations int8, calibrated"}
        return f"{self.weights} weights{activations.get(self.activations, '')}{', exact' if self.exact else ''}"


def require_browser(source: Artifact) -> OnnxFacts:
    """What an artifact says of itself.

    Raises:
        LingoLiteError: it was made by another exporter, or its files do not run in a browser.
    """
    try:
        facts = msgspec.convert(source.manifest.details, OnnxFacts)
    except msgspec.ValidationError as error:
        raise LingoLiteError(
            f"{source.path} was not made by the exporter `onnx`: {error}", hint="export the bundle again"
        ) from None
    if facts.profile != "portable":
        raise LingoLiteError(
            f"{source.path} has the profile `{facts.profile}`, whose operators ONNX Runtime's build for WebAssembly "
            "computes slowly and not exactly",
            hint="export with --option profile=portable",
        )
    reason = _REASONS.get(facts.weights)
    if reason is not None:
        raise LingoLiteError(
            f"{source.path} has {facts.weights} weights: {reason}", hint="make an int8 or a float artifact for a page"
        )
    return facts
