"""What the floor of a step counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT8

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.mark.parametrize(("format", "bytes_each"), [(BUNDLE, 4), (BUNDLE_INT8, 1)])
def test_a_step_reads_the_decoder_and_the_projection(
    ort_exported: Any, format: str, bytes_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Norms and scales come on top; the encoder, the keys and values of cross-attention and rotary tables do not."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from artifacts import Exported
    from floor import bytes_of_a_step

    artifact = ort_exported(format)
    config = artifact.manifest.model
    self_attention = 2 * config.d_model**2 + 2 * config.d_model * config.n_kv_heads * config.head_dim
    layer = self_attention + 2 * config.d_model**2 + 3 * config.d_model * config.d_ff
    weights = bytes_each * (config.n_decoder_layers * layer + config.vocab_size * config.d_model)
    assert weights < bytes_of_a_step(Exported("ours", "onnx", artifact)) < weights + 0.2 * weights + 8192
