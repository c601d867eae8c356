"""How exported graphs compute, in sentences: the part of `export_config.json` that an app's developer can check by.

Owns what both profiles say. How a profile multiplies int8 or grouped matrices is in its own description. The sentences
are bytes of every export, so they change only with the arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.architecture.architecture import Architecture

FLOAT_ARITHMETIC = {
    "float32": ["float32 throughout"],
    "float16": ["weights are stored as float16 and cast to float32 in the graph; computation is float32"],
    "bfloat16": ["weights are stored as bfloat16 and cast to float32 in the graph; computation is float32"],
}
"""By the dtype of weights that are stored in float."""

ANY_CPU = "the graphs compute in float32 and are right on every CPU"
"""The note on CPUs for graphs without integer products."""


def for_architecture(sentences: Iterable[str], architecture: Architecture) -> list[str]:
    """Sentences that are written of LingoLite's own network, as they are of another one."""
    scale = architecture.embedding_scale
    replacements = {}
    if scale is not None:
        replacements[", times sqrt(d_model)"] = "" if scale == 1.0 else f", times {scale:g}"
    if not architecture.gated or architecture.activation != "silu":
        replacements["SwiGLU"] = "activations"
    found = []
    for sentence in sentences:
        for own, other in replacements.items():
            sentence = sentence.replace(own, other)
        found.append(sentence)
    return found
